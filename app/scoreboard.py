"""Scores and costs by arm as tables: means over the training seeds, and each training's own values folded beneath."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.html import empty, escape, paragraph, table
from core.evaluation.verdict import Comparison, Judgement, RunScores
from core.report.facts import VIEWS
from core.report.words import (
    MISSING,
    NO_WEIGHTS,
    arm_labels,
    cost_table,
    how_tested,
    ranking_table,
    score_table,
    unmeasured,
)
from core.runs.scores import SCORES, Score

BETTER = {
    "lower": "↓ lower is better",
    "higher": "↑ higher is better",
    "neither": "↕ neither side is better by itself",
}


def scores_html(runs: Sequence[RunScores], judgement: Judgement | None, view: str) -> str:
    """A line a score, a column an arm: mean, and where there is a reference the difference from it.

    Args:
        runs: What every training scored.
        judgement: Of an experiment; None for runs that are none.
        view: A name in ``VIEWS``.
    """
    primary = None if judgement is None else judgement.primary
    names = sorted(SCORES, key=lambda name: name != primary)
    shown = [SCORES[name] for name in names if any(math.isfinite(_value(run, name)) for run in runs)]
    how = paragraph(f"{VIEWS[view]} {steps_used(runs)}")
    if not shown:
        return how + empty("No scores yet: they are measured with each set of samples.")
    labels = arm_labels(runs)
    rows = [
        [_score_cell(score, is_primary=score.name == primary)]
        + [_cell(runs, arm, score.name, _comparison(judgement, arm, score.name)) for arm in labels]
        for score in shown
    ]
    seeds = len({run.seed for run in runs})
    caption = f"Scores: mean over {seeds} training seeds" if seeds > 1 and judgement else "Scores"
    scores = table(["Score", *map(escape, labels.values())], rows, caption, raw=True)
    lacking = unmeasured(runs)
    without = paragraph(f"Not measured: {', '.join(lacking)}.") if lacking else ""
    order, places = ([], []) if judgement is None else ranking_table(judgement)
    ranking = table(order, places, "Arms by the declared score") if places else ""
    return f'{how}{ranking}<div id="scores-table">{scores}</div>{without}{empty(NO_WEIGHTS)}{_folded(runs, judgement)}'


def steps_used(runs: Sequence[RunScores]) -> str:
    """At which optimizer steps the arms are compared, a sentence."""
    by_arm: dict[str, set[int | None]] = {}
    for run in runs:
        by_arm.setdefault(run.arm, set()).add(run.step)
    if len({step for steps in by_arm.values() for step in steps}) == 1:
        only = next(iter(next(iter(by_arm.values()), {None})))
        return "No step fits." if only is None else f"Compared at step {only}."
    words = [f"{arm} {' and '.join(map(_step_words, steps))}" for arm, steps in by_arm.items()]
    return f"Compared at step: {'; '.join(words)}."


def _step_words(step: int | None) -> str:
    return "none that fits" if step is None else str(step)


def costs_html(runs: Sequence[RunScores]) -> str:
    """A line an arm: what its trainings had cost on average where they are compared."""
    labels = arm_labels(runs)
    reference = next(iter(labels), "")
    rows = []
    for arm, label in labels.items():
        own = [run for run in runs if run.arm == arm]
        beside = [run for run in runs if run.arm == reference]
        rows.append(
            [
                label,
                _relative(own, beside, "seconds", "s"),
                _relative(own, beside, "compute", ""),
                _whole(_mean([run.forwards for run in own])),
                _whole(_mean([run.trained for run in own])),
                _memory(own),
            ]
        )
    head = [
        "Arm", "Training time", "Compute (forward equivalents)", "Forwards without gradient (items)",
        "States trained", "Peak memory",
    ]  # fmt: skip
    caption = f"Cost until the step of comparison, mean over trainings; × beside {labels.get(reference, '')}"
    own_values = _details("Cost of each training", table(*cost_table(runs), "Cost of each training"))
    return table(head, rows, caption) + (own_values if len(runs) > len(labels) else "")


def _value(run: RunScores, score: str) -> float:
    return run.values.get(score, math.nan)


def _comparison(judgement: Judgement | None, arm: str, score: str) -> Comparison | None:
    found = () if judgement is None else judgement.comparisons
    return next((one for one in found if (one.arm, one.score) == (arm, score)), None)


def _score_cell(score: Score, *, is_primary: bool) -> str:
    declared = "<small>declared before training</small>" if is_primary else ""
    return f"{escape(score.label)}{declared}<small>{escape(score.unit)}; {BETTER[score.better]}</small>"


def _cell(runs: Sequence[RunScores], arm: str, score: str, beside: Comparison | None) -> str:
    values = [_value(run, score) for run in runs if run.arm == arm]
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return MISSING
    # a mean over other seeds than the reference's would mislead
    mean = f"{_mean(known):.3g}" if len(known) == len(values) else f"{len(known)} of {len(values)} measured"
    return f"<strong>{mean}</strong>{_beside(beside)}"


def _beside(found: Comparison | None) -> str:
    """The difference from the reference; interval and p only where there are any."""
    if found is None:
        return ""
    text = f"{found.mean:+.3g} beside the reference"
    if found.interval is not None:
        text += f", 95 % interval {found.interval[0]:+.3g} to {found.interval[1]:+.3g}"
    if found.p_holm is not None:
        text += f", p = {found.p_holm:.2g} (Holm)"
    elif found.p is not None:
        text += f", p = {found.p:.2g}"
    return f"<small>{escape(text)}</small>"


def _folded(runs: Sequence[RunScores], judgement: Judgement | None) -> str:
    """Every training's own values, and how they were tested."""
    if judgement is None:
        return ""
    own = table(*score_table(runs, judgement), "Scores of each training seed")
    how = paragraph(how_tested(run.arm for run in runs))
    return _details("Scores of each training seed", own) + _details("How this is tested", how)


def _details(title: str, content: str) -> str:
    return f'<details class="rw-more"><summary>{escape(title)}</summary>{content}</details>'


def _relative(own: Sequence[RunScores], beside: Sequence[RunScores], name: str, unit: str) -> str:
    value, reference = (_mean([getattr(run, name) for run in runs]) for runs in (own, beside))
    if not math.isfinite(value):
        return MISSING
    text = f"{_whole(value)} {unit}".strip()
    return f"{text} ({value / reference:.2f} ×)" if math.isfinite(reference) and reference > 0 else text


def _memory(runs: Sequence[RunScores]) -> str:
    peaks = [run.peak_memory_mib for run in runs if run.peak_memory_mib is not None]
    return f"{_whole(max(peaks))} MiB" if peaks else MISSING


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if math.isfinite(value) else MISSING
