"""What may be concluded from an experiment: one declared comparison with a verdict, all others beside it.

The training seed is the unit: a run's score is one number, and runs of the same seed are a pair.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import RunError
from core.evaluation import wording
from core.evaluation.ranking import Place, rank, ranking_lines
from core.evaluation.run_scores import RunScores, View, read_scores
from core.evaluation.statistics import LEAST_FOR_VERDICT, LEVEL, holm, interval, seeds_needed, sign_flip_p
from core.runs.arms import REFERENCE, is_sweep
from core.runs.scores import DEFAULT_SCORE, SCORES

__all__ = ["Comparison", "Judgement", "RunScores", "Verdict", "View", "judge", "read_scores"]

Level = Literal["nothing", "illustration", "exploratory", "no difference shown", "difference", "ranking"]
CONTROLS = ("placebo", "input-perturbation")
REPLICATE = "replicate"
Table = Mapping[tuple[str, int], RunScores]
"""The runs by arm and training seed."""


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference on one score.

    Attributes:
        arm: The arm.
        reference: What it is read against.
        score: Name in ``core.runs.scores.SCORES``.
        seeds: Training seeds of which both have the score.
        differences: The arm's score minus the reference's, one a seed, in the score's unit.
        mean: Of the differences.
        sd: Their standard deviation; None with one seed.
        interval: 95 % t interval of the mean, descriptive; None below five seeds.
        p: Of the exact sign-flip test; None below six seeds, where it cannot reach 0.05.
        p_holm: The same, corrected for all secondary comparisons; of a sweep, for all arms on the primary score, else
            for all on the others. None for a verdict's own, and where p is None.
    """

    arm: str
    reference: str
    score: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What may be said of the primary comparison.

    Attributes:
        level: "nothing" without a pair; "illustration" with one; "exploratory" with two to five, or while runs of the
            declared seeds are still to come: who may stop when he likes what he sees finds more than there is;
            "difference" when p is at most 0.05; "no difference shown" otherwise; "ranking" for a sweep, which declares
            no one comparison.
        sentence: For people.
        more_seeds: How many more seeds a verdict needs; after "no difference shown", roughly how many more would show
            an effect of that size. None where none is needed, or no number would do.
        comparison: What it is about; None without a pair.
    """

    level: Level
    sentence: str
    more_seeds: int | None
    comparison: Comparison | None


@dataclass(frozen=True)
class Judgement:
    """An experiment, judged.

    Attributes:
        primary: Name of the declared score.
        reference: Arm that all others are read against.
        verdict: On the judged arm and the primary score, the only one there is.
        comparisons: All that there are data for: the primary one first, then the other arms on the primary score,
            then all arms on the other scores. Those after the first are secondary.
        problems: What is missing or cannot be relied on, a sentence each.
        noise_floor: How far the A/A replicate lies from its reference; None without one.
        controls: What the placebo and input perturbation do beside the judged arm, of a sweep what its ranking and its
            comparisons are worth, a sentence each.
        ranking: Of a sweep: its arms by the primary score, the best first; empty for other experiments.
    """

    primary: str
    reference: str
    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]
    noise_floor: str | None = None
    controls: tuple[str, ...] = ()
    ranking: tuple[Place, ...] = ()


def judge(
    runs: Sequence[RunScores], *, primary: str = DEFAULT_SCORE, arm: str = "rollout", reference: str = REFERENCE
) -> Judgement:
    """Judges an experiment; a sweep is ranked, and each of its arms read against the reference.

    Args:
        runs: Its runs, from ``read_scores``.
        primary: The score that was declared before training; of a sweep, the one that ranks.
        arm: The arm that the verdict is on; not used for a sweep.
        reference: What all arms are read against.

    Raises:
        RunError: If there is no such score, or the arm is its own reference.
    """
    if primary not in SCORES:
        raise RunError(f'primary must be one of {", ".join(SCORES)}, got "{primary}"')
    if arm == reference:
        raise RunError(f'arm must be another than its reference, got "{arm}"')
    table: dict[tuple[str, int], RunScores] = {}
    problems = [problem for run in runs for problem in run.problems]
    for run in runs:
        if table.setdefault((run.arm, run.seed), run) is not run:
            problems.append(f"{run.run.name} is left out: another run is {run.arm} of seed {run.seed} already.")
    if is_sweep(run.arm for run in runs):
        return _judge_sweep(table, reference, primary, problems)
    others = [name for name in dict.fromkeys(run.arm for run in runs) if name not in (arm, reference)]
    first = _compare(table, arm, reference, primary, problems, is_primary=True)
    beside = [_compare(table, name, reference, primary, problems, is_primary=True) for name in others]
    for score in SCORES:
        if score != primary and any(math.isfinite(run.values.get(score, math.nan)) for run in runs):
            beside += [_compare(table, name, reference, score, problems) for name in (arm, *others)]
    secondary = _corrected([comparison for comparison in beside if comparison is not None])
    on_primary = {comparison.arm: comparison for comparison in secondary if comparison.score == primary}
    return Judgement(
        primary, reference, _verdict(first, arm, reference, primary, _waiting(table, arm, reference)),
        secondary if first is None else (first, *secondary), tuple(dict.fromkeys(problems)),
        _noise_floor(first, on_primary), _controls(first, on_primary),
    )  # fmt: skip


def _judge_sweep(table: Table, reference: str, primary: str, problems: list[str]) -> Judgement:
    """Ranks the arms on the primary score; what p has to stand up to is all arms on it, or all on the other scores."""
    runs = list(table.values())
    names = dict.fromkeys(run.arm for run in runs)
    cells = [name for name in names if name != reference] if reference in names else []
    on_primary = [_compare(table, name, reference, primary, problems, is_primary=True) for name in cells]
    measured = [name for name in SCORES if any(math.isfinite(run.values.get(name, math.nan)) for run in runs)]
    others = [_compare(table, name, reference, score, problems)
              for score in measured if score != primary for name in cells]  # fmt: skip
    found = tuple(_corrected([one for one in family if one is not None]) for family in (on_primary, others))
    ranking = rank(runs, primary)
    first, *more = ranking_lines(ranking, SCORES[primary])
    labels = {run.arm: run.label for run in runs}
    waiting = len({run.seed for run in runs if run.pending})
    told = [(labels[one.arm], one.p_holm) for one in found[0]]
    beside = wording.beside_reference(told, reference, SCORES[primary], waiting)
    verdict = Verdict("ranking" if ranking else "nothing", first, None, None)
    return Judgement(
        primary, reference, verdict, (*found[0], *found[1]), tuple(dict.fromkeys(problems)),
        controls=(*more, *beside), ranking=ranking,
    )  # fmt: skip


def _compare(
    table: Table, arm: str, reference: str, score: str, problems: list[str], *, is_primary: bool = False
) -> Comparison | None:
    """Pairs two arms by seed; None without a pair. Seeds that lack one of the two are named.

    A seed of which a run has no score at all is named once, with the primary score.
    """
    seeds = sorted({seed for name, seed in table if name in (arm, reference)})
    if not is_primary:
        seeds = [seed for seed in seeds if _has_any(table.get((arm, seed))) and _has_any(table.get((reference, seed)))]
    pairs = {seed: _value(table, arm, seed, score) - _value(table, reference, seed, score) for seed in seeds}
    whole = {seed: value for seed, value in pairs.items() if math.isfinite(value)}
    if len(whole) < len(pairs) and (whole or is_primary):
        missing = [seed for seed in pairs if seed not in whole]
        problems.append(wording.left_out(arm, reference, SCORES[score], missing))
    return _summary(arm, reference, score, whole) if whole else None


def _value(table: Table, arm: str, seed: int, score: str) -> float:
    run = table.get((arm, seed))
    return math.nan if run is None else run.values.get(score, math.nan)


def _has_any(run: RunScores | None) -> bool:
    return run is not None and any(map(math.isfinite, run.values.values()))


def _summary(arm: str, reference: str, score: str, pairs: Mapping[int, float]) -> Comparison:
    differences = tuple(pairs.values())
    return Comparison(
        arm, reference, score, tuple(pairs), differences,
        mean=statistics.fmean(differences),
        sd=float(np.std(differences, ddof=1)) if len(differences) > 1 else None,
        interval=interval(differences),
        p=sign_flip_p(differences) if len(differences) >= LEAST_FOR_VERDICT else None,
    )  # fmt: skip


def _corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The secondary comparisons with Holm's p values, over all that have a p."""
    tested = [comparison for comparison in comparisons if comparison.p is not None]
    corrected = iter(holm([comparison.p for comparison in tested if comparison.p is not None]))
    return tuple(
        comparison if comparison.p is None else replace(comparison, p_holm=next(corrected))
        for comparison in comparisons
    )


def _waiting(table: Table, arm: str, reference: str) -> int:
    """Declared seeds of which one of the two runs is still to come."""
    return len({seed for (name, seed), run in table.items() if name in (arm, reference) and run.pending})


def _verdict(found: Comparison | None, arm: str, reference: str, primary: str, waiting: int) -> Verdict:
    score = SCORES[primary]
    if found is None:
        return Verdict("nothing", wording.nothing(arm, reference, score), LEAST_FOR_VERDICT, None)
    count, words = len(found.seeds), wording.finding(arm, reference, score, found.mean)
    if found.p is None or waiting > 0:
        more = max(LEAST_FOR_VERDICT - count, waiting)
        if count == 1:
            return Verdict("illustration", wording.illustration(words), more, found)
        return Verdict("exploratory", wording.exploratory(words, found.differences, waiting), more, found)
    if found.p <= LEVEL:
        return Verdict("difference", wording.difference(words, count, found.p), None, found)
    if not any(found.differences):
        return Verdict("no difference shown", wording.all_equal(arm, reference, score, count), None, found)
    needed = seeds_needed(found.differences)
    more = None if needed is None else max(needed - count, 1)
    sentence = wording.no_difference_shown(wording.distance(arm, reference, score, found.mean), count, found.p, more)
    return Verdict("no difference shown", sentence, more, found)


def _noise_floor(first: Comparison | None, on_primary: Mapping[str, Comparison]) -> str | None:
    means = _over_shared_seeds(first, on_primary.get(REPLICATE))
    if first is None or means is None:
        return None
    return wording.noise_floor(first.arm, *means, SCORES[first.score])


def _controls(first: Comparison | None, on_primary: Mapping[str, Comparison]) -> tuple[str, ...]:
    found = []
    for name in CONTROLS:
        means = _over_shared_seeds(first, on_primary.get(name))
        if first is not None and means is not None:
            found.append(wording.control(name, first.arm, *means, SCORES[first.score]))
    return tuple(found)


def _over_shared_seeds(first: Comparison | None, other: Comparison | None) -> tuple[float, float] | None:
    """Means of the other's and of the first's differences over the seeds that both have."""
    if first is None or other is None:
        return None
    one, two = (dict(zip(each.seeds, each.differences, strict=True)) for each in (other, first))
    shared = [seed for seed in one if seed in two]
    if not shared:
        return None
    return statistics.fmean(one[seed] for seed in shared), statistics.fmean(two[seed] for seed in shared)
