"""The optimizers that a run can take, and whether what they need is installed."""

from importlib.util import find_spec

from core.errors import Problem

EXTRAS = {"adamw_8bit": ("bitsandbytes", "bitsandbytes"), "prodigy": ("prodigyopt", "prodigy")}
"""Optimizer to its module and to the extra of this project that installs it; adamw is torch's own."""


def optimizer_problem(optimizer: str) -> Problem | None:
    """What is missing for an optimizer; None for one that is installed. Nothing is imported."""
    if optimizer not in EXTRAS or find_spec(EXTRAS[optimizer][0]) is not None:
        return None
    rule = f"optimizer must be adamw or one that is installed, got '{optimizer}'; {install_command(optimizer)} adds it"
    return Problem("optimizer", rule)


def install_command(optimizer: str) -> str:
    """What installs an optimizer."""
    return f'pip install "rollout-workbench[{EXTRAS[optimizer][1]}]"'
