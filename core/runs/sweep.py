"""Sweeps: one training for each combination of option values, all of them arms of one experiment, under a cost cap."""

import itertools
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config.fields import ROLLOUT_PREFIX
from core.config.flat import flatten, parse_config, parse_text
from core.config.launching import launch_problems
from core.config.problems import unknown_option
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.config.supported import check_supported
from core.errors import ConfigError, Problem, unreadable
from core.regular import MEGABYTE, read_regular
from core.runs.arms import REFERENCE, STEM_LENGTH, Arm, arm_of, arms_alike, declared
from core.runs.cost import forecast_of
from core.runs.files import slug
from core.runs.measurement import find_measurement

MOST = 100
"""Combinations of a sweep."""
OVER, LIST, CAP = "--over", "--list", "--max-minutes"
_MEASURE = "validation"
_REFUSED = {
    "seed": "it pairs the arms; take --seeds for more of them",
    "placebo_of": "a placebo belongs to one rollout; take `ab --arm placebo`",
    "num_processes": "it would change how many of the same pictures a step sees; set it for all",
    "accelerate_config_path": "it is how the processes are launched; set it for all",
}

Values = Mapping[str, str]
"""Option to the value as it was typed."""


@dataclass(frozen=True)
class Costed:
    """An arm with what one training of it takes.

    Attributes:
        arm: The arm.
        seconds: Steps times the forecast length of a step; None where neither was measured.
    """

    arm: Arm
    seconds: float | None


def read_grid(words: Iterable[str]) -> list[Values]:
    """All combinations of ``NAME=VALUE,VALUE…``.

    Raises:
        ConfigError: With every problem of the words themselves; values are judged by ``sweep_arms``.
    """
    axes: dict[str, list[str]] = {}
    problems = []
    for word in words:
        name, _, values = (part.strip() for part in word.partition("="))
        parts = [value.strip() for value in values.split(",")]
        if not name or not all(parts):
            problems.append(Problem(OVER, f"{OVER} must be NAME=VALUE,VALUE and so on, got {word!r}"))
        elif name in axes:
            problems.append(Problem(OVER, f"{OVER} must name each option once, got {name} again"))
        else:
            axes[name] = list(dict.fromkeys(parts))
    if problems:
        raise ConfigError(problems)
    if math.prod(map(len, axes.values())) > MOST:
        raise ConfigError([_too_many(math.prod(map(len, axes.values())))])
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []


def read_list(text: str) -> list[Values]:
    """The combinations of a list: a line each, ``NAME=VALUE NAME=VALUE``; ``#`` begins a comment.

    Raises:
        ConfigError: With every line that is none.
    """
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            pairs = [word.partition("=") for word in shlex.split(line, comments=True)]
        except ValueError as error:
            problems.append(Problem(LIST, f"{LIST} must hold NAME=VALUE pairs, got in line {number}: {error}"))
            continue
        if not all(name and equals for name, equals, _ in pairs):
            problems.append(Problem(LIST, f"{LIST} must hold NAME=VALUE pairs, got in line {number}: {line.strip()!r}"))
        elif pairs:
            found.append({name: value for name, _, value in pairs})
    if problems:
        raise ConfigError(problems)
    return found


def read_list_file(path: Path) -> list[Values]:
    """``read_list`` of a file.

    Raises:
        ConfigError: If it cannot be read, or with every line that is none.
    """
    try:
        return read_list(read_regular(path, MEGABYTE).decode("utf-8"))
    except OSError as error:
        raise ConfigError([unreadable(LIST, path, error)]) from error
    except UnicodeDecodeError:
        raise ConfigError([Problem(LIST, f"{LIST} must be a text in UTF-8, got {path}")]) from None


def sweep_arms(config: RunConfig, combinations: Sequence[Values]) -> tuple[Arm, ...]:
    """The teacher-forced reference, then an arm for each combination that is another training than those before.

    Args:
        config: What the arms share.
        combinations: As ``read_grid`` and ``read_list`` give them.

    Raises:
        ConfigError: With every problem of every combination, each under the first one that has it.
    """
    problems = _problems_of_names(combinations)
    if not combinations:
        problems.append(Problem(OVER, f"{OVER} or {LIST} must give at least one combination, got none"))
    if len(combinations) > MOST:
        problems.append(_too_many(len(combinations)))
        raise ConfigError(problems)
    arms, found = [arm_of(REFERENCE, config)], {problem.message: problem for problem in problems}
    wrong = {problem.option for problem in problems}
    for place, values in enumerate(combinations, 1):
        try:
            own = _checked(config, {name: value for name, value in values.items() if name not in wrong})
        except ConfigError as error:
            for problem in error.problems:
                found.setdefault(problem.message, Problem(problem.option, f"{problem.message} ({_label(values)})"))
            continue
        arm = Arm(_name(values, place, arms), _label(values), own, declared(config, own))
        if not any(arms_alike(arm, other) for other in arms):
            arms.append(arm)
    if found:
        raise ConfigError(list(found.values()))
    if len(arms) == 1:
        rule = f"{OVER} must give a training that differs from the teacher-forced reference, got none"
        raise ConfigError([Problem(OVER, f"{rule}; set {ROLLOUT_PREFIX}max_step_offset above 0")])
    return tuple(arms)


def costed(root: Path, arms: Sequence[Arm]) -> tuple[Costed, ...]:
    """The arms with the seconds that a training of each takes, by what was measured in the workspace at ``root``."""
    found = []
    for arm in arms:
        step = forecast_of(arm.config, find_measurement(root, arm.config)).seconds_per_step
        found.append(Costed(arm, None if step is None else step * arm.config.training.max_train_steps))
    return tuple(found)


def total_seconds(arms: Sequence[Costed], seeds: int) -> float | None:
    """Of all trainings; None where one of them is not known."""
    known = [arm.seconds for arm in arms if arm.seconds is not None]
    return sum(known) * seeds if len(known) == len(arms) else None


def fitting(arms: Sequence[Costed], seeds: int, most_seconds: float) -> tuple[Costed, ...]:
    """The reference and as many of the cheapest others as the cap allows, in the order of the sweep.

    Args:
        arms: With seconds; the reference first.
        seeds: Each is trained so often.
        most_seconds: The cap on all of it.
    """
    left, kept = most_seconds, []
    for place in [0, *sorted(range(1, len(arms)), key=lambda place: (arms[place].seconds or 0.0, place))]:
        left -= (arms[place].seconds or 0.0) * seeds
        if left < 0:
            break
        kept.append(place)
    return tuple(arms[place] for place in sorted(kept))


def within_cap(arms: Sequence[Costed], seeds: int, minutes: float | None, *, fit: bool) -> tuple[Costed, ...]:
    """The arms, if all of them cost no more than the cap.

    Args:
        arms: The reference first.
        seeds: Each is trained so often.
        minutes: The cap; None is none.
        fit: Whether to take the cheapest that fit where not all do.

    Raises:
        ConfigError: If the cap is no length of time, the cost is not known, or is more than the cap; says what fits.
    """
    if minutes is None:
        return tuple(arms)
    if not (math.isfinite(minutes) and minutes > 0):
        raise ConfigError([Problem(CAP, f"{CAP} must be above 0, got {minutes:g}")])
    total = total_seconds(arms, seeds)
    if total is None:
        rule = f"{CAP} must have a forecast to be held against, got trainings that were not measured here"
        raise ConfigError([Problem(CAP, f"{rule}; measure first")])
    if total <= minutes * 60:
        return tuple(arms)
    kept = fitting(arms, seeds, minutes * 60)
    if fit and len(kept) > 1:
        return kept
    return _refuse_cap(arms, kept, seeds, minutes, total)


def _refuse_cap(
    arms: Sequence[Costed], kept: Sequence[Costed], seeds: int, minutes: float, total: float
) -> tuple[Costed, ...]:
    rule = f"{CAP} must be at least {_up(total)} for all {len(arms) * seeds} trainings, got {minutes:g}"
    if len(kept) > 1:
        inside = _up(total_seconds(kept, seeds) or 0.0)
        names = ", ".join(arm.arm.arm for arm in kept)
        raise ConfigError([Problem(CAP, f"{rule}; {names} would fit ({inside} min): --fit takes these")])
    least = min((arm.seconds or 0.0) for arm in arms[1:]) + (arms[0].seconds or 0.0)
    raise ConfigError([Problem(CAP, f"{rule}; the reference and the cheapest arm take {_up(least * seeds)} min")])


def _up(seconds: float) -> str:
    """Minutes, rounded up to a tenth, so that what is said to be enough is."""
    return f"{math.ceil(seconds / 6) / 10:g}"


def _problems_of_names(combinations: Sequence[Values]) -> list[Problem]:
    specs, problems = option_specs(), []
    for name in dict.fromkeys(name for values in combinations for name in values):
        if name not in specs:
            problems.append(unknown_option(name))
        elif name in _REFUSED:
            problems.append(Problem(name, f"{name} must be the same in all arms of a sweep, got {_REFUSED[name]}"))
        elif specs[name].block == _MEASURE:
            why = "it is how the arms are measured; set it for all"
            problems.append(Problem(name, f"{name} must be the same in all arms of a sweep, got it swept: {why}"))
    return problems


def _checked(config: RunConfig, values: Values) -> RunConfig:
    own = parse_config({**flatten(config), **{name: parse_text(name, value) for name, value in values.items()}})
    problems = [*check_supported(own), *launch_problems(own)]
    if problems:
        raise ConfigError(problems)
    return own


def _too_many(count: int) -> Problem:
    return Problem(OVER, f"{OVER} and {LIST} must give at most {MOST} combinations, got {count}")


def _label(values: Values) -> str:
    return ", ".join(f"{name.removeprefix(ROLLOUT_PREFIX)}={value}" for name, value in values.items())


def _name(values: Values, place: int, arms: Sequence[Arm]) -> str:
    """Short: the options' initials with their values, or a number where that is too long or taken."""
    words = [f"{_short(name)}{value}" for name, value in values.items()]
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
    is_free = all(arm.stem != name for arm in arms)
    return name if 0 < len(name) <= STEM_LENGTH and is_free and slug(name) == name else f"arm-{place}"


def _short(name: str) -> str:
    parts = name.removeprefix(ROLLOUT_PREFIX).split("_")
    return parts[0] if len(parts) == 1 else "".join(part[0] for part in parts)
