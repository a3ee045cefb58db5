"""What this version can train, in one table. Everything else can be configured, shown and forecast, and is refused "
"at launch."""

from collections.abc import Callable
from dataclasses import dataclass

from core.config.flat import flatten
from core.config.run import RunConfig
from core.config.spec import show_value
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


def _off(config: RunConfig) -> bool:
    """K = 0 is the off switch: the other rollout options are kept and have no effect."""
    return config.scheduled_sampling.max_step_offset == 0


def _reflexflow_holds(config: RunConfig) -> bool:
    asked_for = config.scheduled_sampling.reflexflow is True and not _off(config)
    return not asked_for and not config.reflexflow_on


LIMITS: tuple[Limit, ...] = (
    Limit(
        "family",
        "stable_diffusion",
        lambda config: config.model.family == "stable_diffusion",
        "take a preset of that family, such as sd15",
    ),
    Limit(
        "scheduled_sampling_stride",
        "a whole number",
        lambda config: _off(config) or isinstance(config.scheduled_sampling.stride, int),
        "1000 / validation_num_inference_steps is near it",
    ),
    Limit("scheduled_sampling_mode", "fresh", lambda config: _off(config) or config.scheduled_sampling.mode == "fresh"),
    Limit(
        "scheduled_sampling_target",
        "anchored or original",
        lambda config: _off(config) or config.scheduled_sampling.target in ("anchored", "original"),
    ),
    Limit(
        "scheduled_sampling_guidance_scale",
        "1",
        lambda config: _off(config) or config.scheduled_sampling.guidance_scale == 1,
    ),
    Limit(
        "scheduled_sampling_reflexflow",
        "false, or unset without flow matching,",
        _reflexflow_holds,
        "set scheduled_sampling_reflexflow = false",
    ),
)


def check_supported(config: RunConfig) -> list[Problem]:
    """What this version cannot train of a valid configuration; to be asked before anything is loaded or downloaded.

    Args:
        config: Any valid configuration.

    Returns:
        A problem for each such option, which names what is supported; empty if it can be trained.
    """
    values = flatten(config)
    return [_problem(limit, values[limit.option]) for limit in LIMITS if not limit.holds(config)]


def supported_text(option: str) -> str:
    """What is supported of an option in this version, empty if all of it is."""
    words = [limit.supported for limit in LIMITS if limit.option == option]
    return words[0].rstrip(",") if words else ""


def _problem(limit: Limit, value: object) -> Problem:
    advice = f"; {limit.advice}" if limit.advice else ""
    message = f"{limit.option} must be {limit.supported} in this version, got {show_value(value)}{advice}"
    return Problem(limit.option, message)
