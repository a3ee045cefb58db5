"""What this version can train, in one table; the rest can be configured and forecast, and is refused at launch."""

from collections.abc import Callable
from dataclasses import dataclass

from core.config.flat import flatten
from core.config.optimizers import optimizer_problem
from core.config.run import RunConfig
from core.config.spec import show_value
from core.config.trackers import tracker_problem
from core.errors import Problem


@dataclass(frozen=True)
class Limit:
    """What is supported of one option.

    Attributes:
        option: The flat name.
        supported: What it may be now, in words that follow "must be".
        holds: Whether a configuration keeps to it.
        advice: What else to do about it, empty if nothing.
    """

    option: str
    supported: str
    holds: Callable[[RunConfig], bool]
    advice: str = ""


LIMITS: tuple[Limit, ...] = ()
"""All of it can be trained."""


def check_supported(config: RunConfig) -> list[Problem]:
    """What this version cannot train of a valid configuration; to be asked before anything is loaded or downloaded.

    Args:
        config: Any valid configuration.

    Returns:
        A problem for each such option, which names what is supported, and for a tracker or an optimizer that is
        not installed; empty if it can be trained.
    """
    values = flatten(config)
    problems = [_problem(limit, values[limit.option]) for limit in LIMITS if not limit.holds(config)]
    missing = (tracker_problem(config.validation.report_to), optimizer_problem(config.training.optimizer))
    return [*problems, *(problem for problem in missing if problem is not None)]


def supported_text(option: str) -> str:
    """What is supported of an option in this version, empty if all of it is."""
    words = [limit.supported for limit in LIMITS if limit.option == option]
    return words[0] if words else ""


def _problem(limit: Limit, value: object) -> Problem:
    advice = f"; {limit.advice}" if limit.advice else ""
    message = f"{limit.option} must be {limit.supported} in this version, got {show_value(value)}{advice}"
    return Problem(limit.option, message)
