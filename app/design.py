"""How a comparison is laid out: which arms stand beside the two, how many training seeds, which score is declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.paths import AllowedPaths
from app.sweeping import Sweep
from core.errors import Problem
from core.runs.arms import DEFAULT_ARMS, KNOWN_ARMS
from core.runs.scores import DEFAULT_SCORE, SCORES

MOST_SEEDS = 20
FEWEST_FOR_VERDICT = 6
"""Below this the exact sign-flip test cannot reach p = 0.05: of n seeds it gives 2 / 2**n at best."""
OTHER_ARMS = tuple(name for name in KNOWN_ARMS if name not in DEFAULT_ARMS)


@dataclass(frozen=True)
class Design:
    """What is asked for on the Launch tab.

    Attributes:
        mode: ``ab`` for matched arms, ``single`` for one run.
        arms: Arms beside teacher forcing and rollout, in the order of the known ones.
        seeds: Training seeds of each arm.
        primary: The score that will give the verdict.
        problems: What of this cannot be.
        sweep: Of mode ``sweep``: the values, beside the teacher-forced reference.
    """

    mode: str = "ab"
    arms: tuple[str, ...] = ()
    seeds: int = 1
    primary: str = DEFAULT_SCORE
    problems: tuple[Problem, ...] = ()
    sweep: Sweep | None = None

    @classmethod
    def read(
        cls, paths: AllowedPaths, mode: Any, arms: Sequence[str] | None, seeds: Any, primary: Any, over: Any = "",
        minutes: Any = None, fit: Any = False,
    ) -> Design:  # fmt: skip
        """What the inputs hold. Nothing of it is trusted; of paths, only those that the page may use are taken."""
        if mode not in ("ab", "sweep"):
            return cls("single")
        problems = []
        if isinstance(seeds, bool) or not isinstance(seeds, int | float) or seeds not in range(1, MOST_SEEDS + 1):
            shown = "nothing" if seeds is None else f"{seeds:g}" if isinstance(seeds, int | float) else seeds
            problems.append(Problem("seeds", f"seeds must be a whole number from 1 to {MOST_SEEDS}, got {shown}"))
            seeds = 1
        if primary not in SCORES:
            problems.append(Problem("primary", f"primary must be one of {', '.join(SCORES)}, got {primary}"))
            primary = DEFAULT_SCORE
        if mode == "sweep":
            return cls("sweep", (), int(seeds), primary, tuple(problems), Sweep.read(over, minutes, fit, paths))
        chosen = tuple(name for name in OTHER_ARMS if name in (arms or ()))
        return cls("ab", chosen, int(seeds), primary, tuple(problems))

    @property
    def is_ab(self) -> bool:
        """Whether it is teacher forcing against rollout, with the known arms beside."""
        return self.mode == "ab"

    @property
    def is_experiment(self) -> bool:
        """Whether there are arms."""
        return self.mode != "single"

    @property
    def all_arms(self) -> tuple[str, ...]:
        """Every arm, teacher forcing and rollout first; none for a single run."""
        return (*DEFAULT_ARMS, *self.arms) if self.is_ab else ()

    @property
    def trainings(self) -> int:
        """How many trainings that makes; of a sweep at most."""
        arms = len(self.all_arms) if self.sweep is None else 1 + len(self.sweep.combinations)
        return max(arms, 1) * self.seeds


TWO_ARMS = Design()
"""Teacher forcing and rollout, one seed."""


def allowed(seeds: int, *, sweep: bool = False) -> str:
    """What so many training seeds allow to be said, one sentence."""
    if sweep:
        told = "1 training seed cannot tell an order from chance" if seeds == 1 else f"{seeds} training seeds each"
        return f"A sweep is ranked and gets no verdict: {told}."
    if seeds >= FEWEST_FOR_VERDICT:
        return f"{seeds} training seeds allow a verdict: the test over seeds can reach p = {2 / 2**seeds:.2g}."
    beyond = f"a verdict needs {FEWEST_FOR_VERDICT} or more"
    if seeds == 1:
        return f"1 training seed is an illustration: {beyond}."
    return f"{seeds} training seeds are exploratory: {beyond}."
