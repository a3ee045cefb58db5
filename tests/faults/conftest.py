"""Makes the helper modules of tests/support importable by their bare names."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("real_trainings", "survival")
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
