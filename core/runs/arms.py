"""The arms of a matched comparison: one config each, alike in everything but options that the arm's kind may change."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.config.fields import ROLLOUT_PREFIX
from core.config.flat import difference, flatten, parse_config
from core.config.run import RunConfig
from core.config.spec import show_value
from core.errors import RunError
from core.runs.cost import forecast_of
from core.runs.files import SLUG_LENGTH, slug

REFERENCE = "teacher-forced"
"""The arm that all others are read against."""
PERTURBATION = 0.1
"""g of the input perturbation, as in Ning et al. 2023."""
REPLICATE_OFFSET = 1000
"""What a replicate adds to the seed: more than an experiment has seeds."""
STEM_LENGTH = SLUG_LENGTH - len("-s4294967295")
"""Longest part of an arm's name in its run folder's: the longest seed follows."""

LENGTH = "scheduled_sampling_max_step_offset"
TOO_LONG: Mapping[str, Any] = {
    LENGTH: 3,
    "scheduled_sampling_stride": 125,
    "scheduled_sampling_probability": 1.0,
    "scheduled_sampling_ramp_steps": 0,
    "scheduled_sampling_target": "anchored",
}


@dataclass(frozen=True)
class Arm:
    """One arm before it has a run folder.

    Attributes:
        arm: Its name, a slug; the run folder is called after it.
        label: What people read.
        config: All of its options.
        changes: The options, by flat name, that it declares to have changed, with its values.
    """

    arm: str
    label: str
    config: RunConfig
    changes: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """What the name of its run folder begins with.

        Raises:
            RunError: If the name holds nothing usable.
        """
        return slug(self.arm)[:STEM_LENGTH].strip("-")


@dataclass(frozen=True)
class KnownArm:
    """A kind of arm that has a name.

    Attributes:
        label: What people read.
        help: One sentence.
        derive: Its config from the one that all arms share.
        allowed: Options that it may change beside the rollout's.
    """

    label: str
    help: str
    derive: Callable[[RunConfig], RunConfig]
    allowed: tuple[str, ...] = ()


def changed(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A config with other values for some options, checked anew.

    Raises:
        ConfigError: If the result is no valid config.
    """
    return parse_config({**flatten(config), **changes})


def teacher_forced(config: RunConfig) -> RunConfig:
    """The same config without rollout: K = 0 and nothing else."""
    return changed(config, {LENGTH: 0})


def equal_compute(config: RunConfig) -> RunConfig:
    """Teacher forcing with so many more steps that it costs as much as the rollout arm, in forward equivalents.

    The rollout arm is forecast with a call's cost proportional to its items and nothing measured, so that the same
    config gives the same steps on every machine; steps are rounded up. Learning rate, its course and its warm-up steps
    are unchanged as options. A course that ends with the training (linear, cosine, polynomial) therefore stretches;
    with constant and constant_with_warmup the first steps are the teacher-forced arm's, bit for bit.

    Without a rollout in force this is the teacher-forced arm, which ``resolve_arms`` refuses.
    """
    steps = config.training.max_train_steps * forecast_of(config).relative_step_time
    return changed(config, {LENGTH: 0, "max_train_steps": math.ceil(steps - 1e-9)})


def perturbed(config: RunConfig) -> RunConfig:
    """Teacher forcing whose network sees more noise than it is asked for."""
    return changed(config, {LENGTH: 0, "input_perturbation": PERTURBATION})


def placebo(config: RunConfig) -> RunConfig:
    """The rollout arm, with noise of its measured drift's size in the place of each rollout."""
    return changed(config, {"placebo_of": "rollout"})


def replicate(config: RunConfig) -> RunConfig:
    """Teacher forcing once more, with other random streams: how far two equal trainings lie apart."""
    return changed(config, {LENGTH: 0, "seed": config.training.seed + REPLICATE_OFFSET})


def too_long(config: RunConfig) -> RunConfig:
    """The same config with rollouts that are too long: their anchored targets visibly wash out what is learnt."""
    return changed(config, TOO_LONG)


KNOWN_ARMS: Mapping[str, KnownArm] = {
    REFERENCE: KnownArm("Teacher-forced", "The reference: the same training without rollout.", teacher_forced),
    "rollout": KnownArm("Rollout", "The rollout as configured.", lambda config: config),
    "equal-compute": KnownArm(
        "Equal compute",
        "Without rollout, with as many more steps as the rollout's forwards cost.",
        equal_compute,
        ("max_train_steps",),
    ),
    "input-perturbation": KnownArm(
        "Input perturbation",
        f"Without rollout; the network sees {PERTURBATION:g} times fresh noise more than it is to predict.",
        perturbed,
        ("input_perturbation",),
    ),
    "placebo": KnownArm(
        "Placebo",
        "Plain noise, as large as the rollout arm's measured drift, in the place of each rollout.",
        placebo,
        ("placebo_of",),
    ),
    "replicate": KnownArm(
        "Replicate",
        f"The reference again with the seed + {REPLICATE_OFFSET}: the noise floor of the comparison.",
        replicate,
        ("seed",),
    ),
    "too-long": KnownArm("Rollout that is too long", "Rollouts that wash out what is learnt.", too_long),
}
OWN_ALLOWED = ("max_train_steps", "input_perturbation", "placebo_of")
"""What an arm of one's own may change beside the rollout's options; with another seed it would be no pair."""
DEFAULT_ARMS = (REFERENCE, "rollout")


def is_sweep(arms: Iterable[str]) -> bool:
    """Whether the arms of these names are those of a sweep: some are none that has a name, and none is the rollout."""
    names = set(arms)
    return not names <= set(KNOWN_ARMS) and "rollout" not in names


def arm_of(name: str, config: RunConfig) -> Arm:
    """One of the known arms, derived from a config.

    Raises:
        RunError: If there is no such arm.
        ConfigError: If the config cannot have it.
    """
    if name not in KNOWN_ARMS:
        raise RunError(f'arm must be one of {", ".join(KNOWN_ARMS)}, got "{name}"')
    known = KNOWN_ARMS[name]
    derived = known.derive(config)
    return Arm(name, known.label, derived, declared(config, derived))


def resolve_arms(config: RunConfig, arms: Sequence[str | Arm], *, any_option: bool = False) -> tuple[Arm, ...]:
    """Known arms by name and arms of one's own, checked to be a fair comparison, in the order of their training.

    The reference comes first, a placebo after the rollout that it stands in for.

    Args:
        config: What all arms share.
        arms: At least one.
        any_option: Whether arms of one's own may change any option, as those of a sweep do.

    Raises:
        RunError: If an arm changes an option that it does not declare or may not change, if two arms are the same
            training or share a name, if a placebo's rollout is missing, or none is given; all of it at once.
        ConfigError: If the config cannot have a known arm.
    """
    found = tuple(arm_of(arm, config) if isinstance(arm, str) else arm for arm in arms)
    if not found:
        raise RunError("arms must be at least one, got none")
    problems = [problem for arm in found for problem in _undeclared(config, arm, any_option)]
    problems += [problem for place, arm in enumerate(found) for problem in _alike(arm, found[:place])]
    problems += [problem for arm in found for problem in _unmatched(arm, found)]
    if problems:
        raise RunError("\n".join(dict.fromkeys(problems)))
    places = {arm.stem: place for place, arm in enumerate(found)}
    return tuple(sorted(found, key=lambda arm: _place(arm, places)))


def at_seed(arm: Arm, config: RunConfig, offset: int, suffix: str) -> Arm:
    """An arm of an experiment's first seed, for another one.

    Args:
        arm: For the first seed.
        config: What the arms share at the first seed.
        offset: Of the seed.
        suffix: What the names of that seed's run folders end with.

    Raises:
        ConfigError: If the seed is no seed.
    """
    if offset == 0 and not suffix:
        return arm
    of = arm.config.training.placebo_of
    own = {"seed": arm.config.training.seed + offset, "placebo_of": None if of is None else of + suffix}
    moved = changed(arm.config, own)
    shared = changed(config, {"seed": config.training.seed + offset})
    return replace(arm, config=moved, changes=declared(shared, moved))


def describe(config: RunConfig, own: RunConfig) -> list[str]:
    """What an arm's config changes, an entry for each option: ``option = its value, not the shared one``."""
    pairs = difference(config, own).items()
    return [f"{name} = {_shown(theirs)}, not {_shown(shared)}" for name, (shared, theirs) in pairs]


def _shown(value: Any) -> str:
    return "unset" if value is None else show_value(value)


def declared(config: RunConfig, derived: RunConfig) -> dict[str, Any]:
    """What an arm has to declare: the options in which it departs from the shared config, with its values."""
    return {name: pair[1] for name, pair in difference(config, derived).items()}


def _place(arm: Arm, places: Mapping[str, int]) -> float:
    if arm.arm == REFERENCE:
        return -1.0
    own, of = places[arm.stem], arm.config.training.placebo_of
    return own if of is None else max(own, places[of] + 0.5)


def _undeclared(config: RunConfig, arm: Arm, any_option: bool) -> Iterable[str]:
    real, known = declared(config, arm.config), KNOWN_ARMS.get(arm.arm)
    allowed = (tuple(real) if any_option else OWN_ALLOWED) if known is None else known.allowed
    foreign = [name for name in real if not name.startswith(ROLLOUT_PREFIX) and name not in allowed]
    if foreign:
        rule = "arms must differ in the rollout's options and in those that their kind may change only"
        yield f"{rule}, got {arm.arm} with another {', '.join(foreign)}"
    elif real != dict(arm.changes):
        names = ", ".join(sorted(set(real) ^ set(arm.changes))) or ", ".join(real)
        yield f"arms must declare exactly what they change, got {arm.arm} with undeclared or untrue {names}"
    elif known is not None and arm.config != known.derive(config):
        yield f"arms must be what a known name says, got {arm.arm} with options of its own; give it another name"


def _alike(arm: Arm, earlier: Sequence[Arm]) -> Iterable[str]:
    for other in earlier:
        if arm.stem == other.stem:
            yield f"arms must have names of their own, got {arm.arm} twice"
        elif arms_alike(arm, other):
            yield (
                f"arms must be different trainings, got {other.arm} and {arm.arm} alike; set {LENGTH} and "
                "scheduled_sampling_probability (or a ramp) above 0"
            )


def arms_alike(arm: Arm, other: Arm) -> bool:
    """Whether two arms are the same training, whatever their names."""
    return _in_force(arm.config) == _in_force(other.config)


def _in_force(config: RunConfig) -> dict[str, Any]:
    """The options without those of a rollout that is off, a placebo's included."""
    values = flatten(config)
    if config.scheduled_sampling.enabled:
        return values
    return {name: value for name, value in values.items() if not name.startswith((ROLLOUT_PREFIX, "placebo_of"))}


def _unmatched(arm: Arm, arms: Sequence[Arm]) -> Iterable[str]:
    """What keeps a placebo from standing in for another arm's rollouts."""
    of = arm.config.training.placebo_of
    if of is None:
        return
    other = next((other for other in arms if other.stem == of), None)
    if other is None:
        yield f"arms must hold {of} where they hold {arm.arm}, which is its placebo; add it"
    elif set(difference(arm.config, other.config)) != {"placebo_of"} or other.config.training.placebo_of is not None:
        yield f"arms must be alike in all but placebo_of where one is the other's placebo, got {arm.arm} and {of}"
