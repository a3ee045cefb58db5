"""Experiments whose driver is a stub: how it is called, and what its arms do."""

import sys
from collections.abc import Callable
from pathlib import Path

from core.runs.experiment import Experiment, experiment_state
from core.runs.folder import RunFolder
from core.runs.status import read_status

Stub = Callable[[RunFolder, str], list[str]]
Until = Callable[[Callable[[], object]], None]
DRIVER = Path(__file__).parents[1] / "core" / "runs" / "stub_driver.py"


def driver(experiment: Experiment, *behaviours: str) -> list[str]:
    """The command of the stub."""
    return [sys.executable, str(DRIVER), str(experiment.path), *behaviours]


def labels(experiment: Experiment) -> list[str]:
    """What may be believed of each arm."""
    return [state.label for _, state in experiment_state(experiment).arms]


def arm_trains(experiment: Experiment, place: int) -> Callable[[], bool]:
    """Asks whether an arm has come to its training."""
    return lambda: read_status(experiment.arms[place].run).phase == "training"
