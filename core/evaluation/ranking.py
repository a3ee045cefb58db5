"""What may be concluded from a sweep: its arms in the order of the declared score, and each beside the reference.

No comparison was declared before training, so there is no verdict. The training seed is the unit here too.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from core.evaluation import wording
from core.evaluation.run_scores import RunScores
from core.evaluation.statistics import interval
from core.runs.scores import SCORES, Score


@dataclass(frozen=True)
class Place:
    """An arm among the others.

    Attributes:
        arm: The arm.
        label: What people read.
        seeds: Training seeds of which all ranked arms have the score.
        values: Its score, one a seed, in the score's unit.
        mean: Of the values.
        interval: 95 % t interval of the mean, descriptive; None below five seeds.
    """

    arm: str
    label: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None

    @property
    def uncertainty(self) -> str:
        """The interval, else the lowest and the highest seed; empty with one seed, which has none."""
        if self.interval is not None:
            return f"95 % interval {self.interval[0]:.3g} to {self.interval[1]:.3g}"
        return f"seeds {min(self.values):.3g} to {max(self.values):.3g}" if len(self.values) > 1 else ""


def rank(runs: Sequence[RunScores], score: str) -> tuple[Place, ...]:
    """The arms that have a score, by its mean over the seeds that all of them have: the best first.

    Where neither side is better by itself, the lowest first. Arms without any score are left out; empty where no seed
    has the score of all others, or fewer than two arms have it.

    Args:
        runs: Of the sweep, the reference among them.
        score: Name in ``SCORES``.
    """
    labels = {run.arm: run.label for run in runs}
    table: dict[str, dict[int, float]] = {}
    for run in runs:
        value = run.values.get(score, math.nan)
        if math.isfinite(value):
            table.setdefault(run.arm, {}).setdefault(run.seed, value)
    shared = sorted(set.intersection(*(set(values) for values in table.values()))) if len(table) > 1 else []
    if not shared:
        return ()
    places = []
    for arm, values in table.items():
        own = tuple(values[seed] for seed in shared)
        places.append(Place(arm, labels[arm], tuple(shared), own, statistics.fmean(own), interval(own)))
    return tuple(sorted(places, key=lambda place: place.mean, reverse=SCORES[score].better == "higher"))


def ranking_lines(places: Sequence[Place], score: Score) -> tuple[str, ...]:
    """What a ranking says, the first sentence first; that there is none yet where it is empty."""
    if not places:
        return (f"Nothing to rank yet: no training seed has the score {score.label} of two arms or more.",)
    count, first, last = len(places), places[0], places[-1]
    seeds = f"over {wording.counted(len(first.seeds), 'training seed')}"
    if score.better == "neither":
        said = f"{score.label} goes from {_told(first)} to {_told(last)} {seeds}; neither end is better by itself"
    else:
        end = "highest" if score.better == "higher" else "lowest"
        said = f"{score.label} is {end} for {_told(first)} {seeds}, then for {_told(places[1])}"
    lines = [f"No verdict: a sweep declares no one comparison. Of {count} arms, {said}."]
    if len(first.seeds) == 1:
        lines.append("One training seed cannot tell an order from chance.")
    elif score.better != "neither":
        lines.append(_first_beside_second(first, places[1]))
    if score.better != "neither":
        lines.append(f"The best of {count} looks better than it is: train it again with other seeds.")
    return tuple(lines)


def _told(place: Place) -> str:
    around = f" ({place.uncertainty})" if place.uncertainty else ""
    return f"{place.label}, {place.mean:.3g}{around}"


def _first_beside_second(first: Place, second: Place) -> str:
    way = first.mean - second.mean
    alike = sum((a - b) * way > 0 for a, b in zip(first.values, second.values, strict=True))
    return f"The first lies before the second in {alike} of {len(first.seeds)} seeds."
