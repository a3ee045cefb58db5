"""What a run can report its curves to besides its own journals, and whether it is installed."""

from importlib.util import find_spec

from core.errors import Problem

EXTRAS = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}
"""Tracker to the extra of this project that installs it; the module is called the same."""


def tracker_problem(tracker: str) -> Problem | None:
    """What is missing for a tracker; None for ``none`` and for one that is installed. Nothing is imported."""
    if tracker not in EXTRAS or find_spec(tracker) is not None:
        return None
    install = f'pip install "rollout-workbench[{EXTRAS[tracker]}]"'
    rule = f"report_to must be none or a tracker that is installed, got '{tracker}'; {install} adds it"
    return Problem("report_to", rule)
