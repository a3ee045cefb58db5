"""Verdict, scores and costs of an experiment as plain text: the command line, the page and the report say the same.

A table is its head and its rows, all of them texts. Nothing is rounded to a finding: what was not measured is said so.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from core.evaluation.statistics import LEAST_FOR_INTERVAL, LEAST_FOR_VERDICT, LEVEL
from core.evaluation.verdict import Comparison, Judgement, RunScores
from core.runs.arms import is_sweep
from core.runs.scores import SCORES, Score
from core.runs.votes import Tally

Table = tuple[list[str], list[list[str]]]
MISSING = "not measured"
INCOMPLETE = "not all seeds"
NONE = "–"
NO_WEIGHTS = "DINO, CLIP-I, CLIP-T and LPIPS are not measured: they need weights that do not ship with the workbench."
HOW_TESTED = (
    "The training seed is the unit: a run has one number per score, and runs of one seed are a pair. One comparison "
    "was declared before training, and only it gets a verdict: an exact sign-flip test over the seeds, "
    f"p ≤ {LEVEL:g}, which needs {LEAST_FOR_VERDICT} seeds or more. The p of all others are corrected for being "
    f"several (Holm). Intervals are Student's 95 %, descriptive, and none is given below {LEAST_FOR_INTERVAL} seeds."
)
HOW_RANKED = (
    "The training seed is the unit: a run has one number per score, and runs of one seed belong together. A sweep "
    "declares no one comparison and gets no verdict: its arms are ranked by their mean over the seeds that all have. "
    "Each is held against the teacher-forced reference of the unchanged settings by an exact sign-flip test over the "
    "seeds, its p corrected for the number of arms (Holm), on the other scores for all arms and scores together. An "
    "arm that changes other options than the rollout's differs from the reference in these too. Intervals are "
    f"Student's 95 %, descriptive, and none is given below {LEAST_FOR_INTERVAL} seeds."
)


def how_tested(arms: Iterable[str]) -> str:
    """How the scores of an experiment with arms of these names are tested."""
    return HOW_RANKED if is_sweep(arms) else HOW_TESTED


def question(arms: Iterable[str]) -> str:
    """What an experiment with arms of these names asks."""
    return "which settings score best?" if is_sweep(arms) else "did rollout help?"


def arm_labels(runs: Sequence[RunScores]) -> dict[str, str]:
    """What people read for each arm, in the order of the runs; its name where its runs' labels differ."""
    labels: dict[str, set[str]] = {}
    for run in runs:
        labels.setdefault(run.arm, set()).add(run.label)
    return {arm: next(iter(found)) if len(found) == 1 else arm for arm, found in labels.items()}


def verdict_lines(judgement: Judgement) -> list[str]:
    """The verdict first, then what to hold it against, a sentence each."""
    score = SCORES[judgement.primary]
    lines = [judgement.verdict.sentence]
    if judgement.noise_floor is not None:
        lines.append(judgement.noise_floor)
    lines += judgement.controls
    lines += _beside(judgement)
    lines.append(f"Declared before training: {score.label} ({score.unit}). {score.help}")
    return lines


def _beside(judgement: Judgement) -> list[str]:
    """What the secondary comparisons show, after the correction for being several."""
    counted = judgement.comparisons
    if judgement.ranking:  # those on the score that ranks are told by themselves
        counted = tuple(found for found in counted if found.score != judgement.primary)
    tested = [found for found in counted if found.p_holm is not None]
    if not tested:
        return []
    shown = [found for found in tested if found.p_holm is not None and found.p_holm <= LEVEL]
    names = "; ".join(f"{SCORES[found.score].label} of {found.arm} (p = {found.p_holm:.2g})" for found in shown)
    rest = f": {names}." if shown else "."
    return [f"Of {len(tested)} secondary comparisons, {len(shown)} have p ≤ {LEVEL:g} after Holm's correction{rest}"]


def score_table(runs: Sequence[RunScores], judgement: Judgement) -> Table:
    """A row for each score and arm: its value for every training seed, their mean, the difference from the reference.

    The declared score comes first. Scores that no run has are left out (see ``unmeasured``), and so are the columns of
    intervals and of p where there are too few seeds for any.
    """
    labels, seeds = arm_labels(runs), list(dict.fromkeys(run.seed for run in runs))
    found = {(comparison.arm, comparison.score): comparison for comparison in judgement.comparisons}
    reference = labels.get(judgement.reference, judgement.reference)
    columns = [column for column in COLUMNS if any(column[1](comparison) for comparison in found.values())]
    head = ["Score", "Arm", *(f"seed {seed}" for seed in seeds)]
    head += ["Mean"] * (len(seeds) > 1) + [f"Minus {reference}", *(title for title, _ in columns)]
    rows = []
    for score in _measured(runs, judgement.primary):
        for arm, label in labels.items():
            values = [_value(runs, arm, seed, score.name) for seed in seeds]
            means = [_mean(values)] if len(seeds) > 1 else []
            comparison = found.get((arm, score.name))
            beside = _difference(comparison, is_reference=arm == judgement.reference)
            more = [(text(comparison) if comparison else "") or NONE for _, text in columns]
            name = _score_name(score, declared=score.name == judgement.primary)
            rows.append([name, label, *map(_number, values), *means, beside, *more])
    return head, rows


def ranking_table(judgement: Judgement) -> Table:
    """A row for each arm of a sweep, the best first; empty for other experiments."""
    score = SCORES[judgement.primary]
    head = ["Place", "Arm", f"{score.label} ({score.unit})", "Uncertainty"]
    rows = [
        [str(number), place.label, _number(place.mean), place.uncertainty or NONE]
        for number, place in enumerate(judgement.ranking, 1)
    ]
    return head, rows


def unmeasured(runs: Sequence[RunScores]) -> list[str]:
    """Labels of the scores that no run has."""
    return [score.label for score in SCORES.values() if not _has(runs, score.name)]


def cost_table(runs: Sequence[RunScores]) -> Table:
    """A row for each run: what it had cost at the step at which it is compared."""
    head = [
        "Arm", "Training seed", "Step", "Seconds", "Forwards without gradient (items)", "Trained states",
        "Compute (forward equivalents)", "Peak memory (MiB)",
    ]  # fmt: skip
    labels = arm_labels(runs)
    rows = [
        [
            labels[run.arm], str(run.seed), MISSING if run.step is None else str(run.step), _number(run.seconds, 4),
            _whole(run.forwards), _whole(run.trained), _whole(run.compute),
            MISSING if run.peak_memory_mib is None else _whole(run.peak_memory_mib),
        ]
        for run in runs
    ]  # fmt: skip
    return head, rows


def tally_text(found: Tally, arm: str, reference: str) -> str:
    """How blind votes fell, in a sentence or two.

    Args:
        found: The votes.
        arm: What the arm is called.
        reference: What its reference is called.
    """
    decided = found.wins + found.losses
    if decided + found.ties == 0:
        return "No votes yet."
    counted = f"{arm}: {found.wins}, {reference}: {found.losses}, can't tell: {found.ties}."
    if decided == 0:
        return counted
    rate, low, high = (f"{share:.0%}".replace("%", " %") for share in (found.rate, found.low, found.high))
    won = f"{arm} won {rate} of those that chose (95 % interval {low} to {high})."
    if found.low <= 0.5 <= found.high:
        return f"{counted} {won} The interval holds 50 %: so few votes don't tell the arms apart."
    return f"{counted} {won} That is about these trainings: it says nothing about other training seeds."


def as_text(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines of text, its columns aligned; rows that begin like the one before don't repeat it."""
    above = [[""], *rows][: len(rows)]
    rows = [["" if one[0] == row[0] else row[0], *row[1:]] for one, row in zip(above, rows, strict=True)]
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    right = [any(is_number(row[place]) for row in rows) for place in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if place else cell.ljust(width)
            for cell, width, place in zip(row, widths, right, strict=True)
        ]
        return "  ".join(cells).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]


def _measured(runs: Sequence[RunScores], primary: str) -> list[Score]:
    names = [primary, *(name for name in SCORES if name != primary)]
    return [SCORES[name] for name in names if _has(runs, name)]


def _has(runs: Sequence[RunScores], score: str) -> bool:
    return any(math.isfinite(run.values.get(score, math.nan)) for run in runs)


def _value(runs: Sequence[RunScores], arm: str, seed: int | None, score: str) -> float:
    found = (run.values.get(score, math.nan) for run in runs if (run.arm, run.seed) == (arm, seed))
    return next(found, math.nan)


def _mean(values: Sequence[float]) -> str:
    """Over all seeds, or none: means over different seeds would not be comparable."""
    missing = sum(not math.isfinite(value) for value in values)
    if 0 < missing < len(values):
        return INCOMPLETE
    return _number(sum(values) / len(values))


def _score_name(score: Score, *, declared: bool) -> str:
    return f"{score.label} ({score.unit})" + (", declared" if declared else "")


def _difference(comparison: Comparison | None, *, is_reference: bool) -> str:
    if is_reference:
        return "reference"
    return NONE if comparison is None else f"{comparison.mean:+.3g}"


def _interval(comparison: Comparison) -> str:
    if comparison.interval is None:
        return ""
    low, high = comparison.interval
    return f"{low:+.3g} to {high:+.3g}"


def _p(comparison: Comparison) -> str:
    if comparison.p_holm is not None:
        return f"{comparison.p_holm:.2g} (Holm)"
    return "" if comparison.p is None else f"{comparison.p:.2g}"


COLUMNS: tuple[tuple[str, Callable[[Comparison], str]], ...] = (("95 % interval", _interval), ("p", _p))


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if math.isfinite(value) else MISSING


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if math.isfinite(value) else MISSING


def is_number(text: str) -> bool:
    """Whether a cell begins as a number does."""
    return text[:1].isdigit() or text.startswith(("+", "-"))
