"""The sweep of the Launch tab: which arms its lines make of the settings, what they cost, and the cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.html import empty, table
from app.paths import AllowedPaths
from core.config.flat import parse_text
from core.config.paths import PATH_OPTIONS
from core.config.run import RunConfig
from core.errors import ConfigError, Problem
from core.runs.sweep import Costed, Values, costed, read_grid, sweep_arms, within_cap

HELP = "An option and its values a line, by the names of the command line; every combination is an arm."
EXAMPLE = "scheduled_sampling_max_step_offset=1,3,5\nlearning_rate=1e-4,2e-4"


@dataclass(frozen=True)
class Sweep:
    """What the fields of a sweep hold.

    Attributes:
        over: Lines of ``NAME=VALUE,VALUE``.
        minutes: The cap on all trainings; None is none.
        fit: Whether to take the cheapest that fit.
        problems: What cannot be read of it.
    """

    over: tuple[str, ...] = ()
    minutes: float | None = None
    fit: bool = False
    problems: tuple[Problem, ...] = ()

    @classmethod
    def read(cls, over: Any, minutes: Any, fit: Any, paths: AllowedPaths) -> Sweep:
        """What the inputs hold. Nothing of it is trusted, and a path that may not be used is not even looked at."""
        lines = tuple(line.strip() for line in str(over or "").splitlines() if line.strip())
        problems = []
        if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int | float)):
            problems.append(Problem("--max-minutes", f"--max-minutes must be a number, got {minutes!r}"))
            minutes = None
        try:
            refused = _refused_paths(read_grid(lines), paths)
        except ConfigError as error:
            refused = list(error.problems)
        return cls(() if refused else lines, minutes, fit is True, (*problems, *refused))

    @property
    def combinations(self) -> list[Values]:
        """Of the values."""
        return read_grid(self.over)

    def arms(self, root: Path, config: RunConfig) -> tuple[Costed, ...]:
        """Every arm, with its forecast, whatever the cap.

        Raises:
            ConfigError: With everything that is wrong with the lines and with any combination.
        """
        if self.problems:
            raise ConfigError(self.problems)
        return costed(root, sweep_arms(config, self.combinations))

    def kept(self, root: Path, config: RunConfig, seeds: int) -> tuple[Costed, ...]:
        """The arms that are trained: all, or those that fit the cap.

        Raises:
            ConfigError: As ``arms`` does, and where the cap does not allow it.
        """
        return within_cap(self.arms(root, config), seeds, self.minutes, fit=self.fit)

    def words(self) -> list[str]:
        """The same on the command line."""
        cap = [] if self.minutes is None else ["--max-minutes", f"{self.minutes:g}"]
        return [*(word for line in self.over for word in ("--over", line)), *cap, *(["--fit"] if self.fit else [])]


def _refused_paths(combinations: Sequence[Values], paths: AllowedPaths) -> list[Problem]:
    """Every path that the page may not be told to use, once."""
    given = dict.fromkeys(pair for values in combinations for pair in values.items() if pair[0] in PATH_OPTIONS)
    found = [paths.problem(name, parse_text(name, value)) for name, value in given]
    return [problem for problem in found if problem is not None]


def problems_of(sweep: Sweep, root: Path, config: RunConfig, seeds: int) -> Sequence[Problem]:
    """Everything that keeps it from being trained; empty where nothing does."""
    try:
        sweep.kept(root, config, seeds)
    except ConfigError as error:
        return error.problems
    return ()


def sweep_table(sweep: Sweep, root: Path, config: RunConfig, seeds: int) -> str:
    """A row an arm: what it changes, what one training of it takes, and whether the cap leaves it out."""
    try:
        arms = sweep.arms(root, config)
    except ConfigError:
        return empty("The sweep has problems: see the list above.")
    try:
        kept = {each.arm.arm for each in sweep.kept(root, config, seeds)}
    except ConfigError:
        kept = set()
    rows = []
    for each in arms:
        took = "after a measurement" if each.seconds is None else f"about {each.seconds / 60:.1f} min"
        fits = "yes" if each.arm.arm in kept else "no"
        rows.append([each.arm.arm, each.arm.label, str(each.arm.config.training.max_train_steps), took, fits])
    caption = "Everything else is the same in all arms of a seed: pictures, noises, prompts and seeds"
    return table(["Arm", "Values", "Steps", "One training", "Is trained"], rows, caption)
