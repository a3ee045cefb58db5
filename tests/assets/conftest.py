"""Makes the helper modules of tests/support importable, and shares the tiny base models and their runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from tiny_runs import bases, config, one_thread, pictures, runs_dir, trained

__all__ = ["bases", "config", "one_thread", "pictures", "runs_dir", "trained"]
