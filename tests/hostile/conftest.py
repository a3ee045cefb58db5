"""Makes the helper modules of tests/support importable; nothing here may wait for what never comes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile_input import no_hang
from tiny_runs import bases, config, one_thread, pictures, runs_dir, trained
from typed_commands import typed

__all__ = ["bases", "config", "one_thread", "pictures", "runs_dir", "trained", "typed"]


HANGS = 900
"""Seconds after which something hangs: far beyond what a test here takes on a slow machine."""
HANGS_LONG = 7200
"""The same for a long form."""


@pytest.fixture(autouse=True)
def _no_hang(request):
    with no_hang(HANGS if request.node.get_closest_marker("faults") is None else HANGS_LONG):
        yield
