"""Makes the helper modules of tests/support importable by their bare names, and shares fixtures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))


@pytest.fixture
def generator():
    """A seeded CPU generator."""
    import torch

    return torch.Generator().manual_seed(20240)
