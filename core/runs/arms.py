"""The arms of a matched comparison: one config each, alike in everything but declared options of the rollout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config.flat import difference, flatten, parse_config
from core.config.run import RunConfig
from core.errors import RunError
from core.runs.files import slug

ROLLOUT_PREFIX = "scheduled_sampling_"

TOO_LONG: Mapping[str, Any] = {
    "scheduled_sampling_max_step_offset": 3,
    "scheduled_sampling_stride": 125,
    "scheduled_sampling_probability": 1.0,
    "scheduled_sampling_ramp_steps": 0,
    "scheduled_sampling_target": "anchored",
}


@dataclass(frozen=True)
class Arm:
    """One arm before it has a run folder.

    Attributes:
        arm: Its name, a slug; the name of its run folder too.
        label: What people read.
        config: All of its options.
        changes: The options, by flat name, that it declares to have changed, with its values.
    """

    arm: str
    label: str
    config: RunConfig
    changes: Mapping[str, Any]


def teacher_forced(config: RunConfig) -> RunConfig:
    """The same config without rollout: K = 0 and nothing else."""
    return changed(config, {"scheduled_sampling_max_step_offset": 0})


def too_long(config: RunConfig) -> RunConfig:
    """The same config with rollouts that are too long: their anchored targets visibly wash out what is learnt."""
    return changed(config, TOO_LONG)


def changed(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A config with other values for some options, checked anew.

    Raises:
        ConfigError: If the result is no valid config.
    """
    return parse_config({**flatten(config), **changes})


KNOWN_ARMS: Mapping[str, tuple[str, Callable[[RunConfig], RunConfig]]] = {
    "teacher-forced": ("Teacher-forced", teacher_forced),
    "rollout": ("Rollout", lambda config: config),
    "too-long": ("Rollout that is too long", too_long),
}
DEFAULT_ARMS = ("teacher-forced", "rollout")


def arm_of(name: str, config: RunConfig) -> Arm:
    """One of the known arms, derived from a config.

    Raises:
        RunError: If there is no such arm.
    """
    if name not in KNOWN_ARMS:
        raise RunError(f'arm must be one of {", ".join(KNOWN_ARMS)}, got "{name}"')
    label, derive = KNOWN_ARMS[name]
    derived = derive(config)
    return Arm(name, label, derived, {key: pair[1] for key, pair in difference(config, derived).items()})


def resolve_arms(config: RunConfig, arms: Sequence[str | Arm]) -> tuple[Arm, ...]:
    """Known arms by name and arms of one's own, checked to be a fair comparison.

    Args:
        config: What all arms share.
        arms: At least one.

    Raises:
        RunError: If an arm changes an option that it does not declare or that is none of the rollout's, if two arms
            are the same training, share a name, or none is given.
    """
    found = tuple(arm_of(arm, config) if isinstance(arm, str) else arm for arm in arms)
    if not found:
        raise RunError("arms must be at least one, got none")
    for arm in found:
        _check_declared(config, arm)
    for place, arm in enumerate(found):
        for other in found[:place]:
            _check_distinct(other, arm)
    return found


def _check_declared(config: RunConfig, arm: Arm) -> None:
    real = {name: pair[1] for name, pair in difference(config, arm.config).items()}
    foreign = [name for name in real if not name.startswith(ROLLOUT_PREFIX)]
    if foreign:
        raise RunError(
            f"arms must differ in the rollout's options only, got {arm.arm} with another {', '.join(foreign)}"
        )
    if real != dict(arm.changes):
        names = ", ".join(sorted(set(real) ^ set(arm.changes))) or ", ".join(real)
        raise RunError(f"arms must declare exactly what they change, got {arm.arm} with undeclared or untrue {names}")


def _check_distinct(one: Arm, other: Arm) -> None:
    if slug(one.arm) == slug(other.arm):
        raise RunError(f"arms must have names of their own, got {other.arm} twice")
    rollout, same = one.config.scheduled_sampling, other.config.scheduled_sampling
    if not difference(one.config, other.config) or not (rollout.enabled or same.enabled):
        raise RunError(
            f"arms must be different trainings, got {one.arm} and {other.arm} alike; set "
            "scheduled_sampling_max_step_offset and scheduled_sampling_probability (or a ramp) above 0"
        )
