"""The frame of the plots of scores against how samples were drawn: the number of sampling steps, or the guidance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.plots.arms import ArmStyle, groups
from core.plots.axes import Curve
from core.plots.figure import add_legend, describe, empty
from core.plots.lines import SEED_LINE, draw_curve, make_curve, mean_curve, named, number
from core.plots.panels import new_panels
from core.plots.probes import Series
from core.runs.drift import ChainScores, DriftRecord
from core.runs.scores import SCORES

EMPTY = "No sweep yet: finished samples have been scored with one setting only"
SHOWN = ("v_end", "nearest", "diversity")
SHORT = {"v_end": "V (nats)", "nearest": "nearest (rms)", "diversity": "diversity (1)"}
"""Axis labels for narrow panels."""


def plot_sweep(series: Series, name: str, held: str, x_label: str, scores: Sequence[str]) -> Figure:
    """A panel a score, a curve an arm over the values of one sampling setting, at the run's last sweep.

    Args:
        series: Label to measurements.
        name: Field of ``ChainScores`` along the axis.
        held: Field that is equal in all points of a run.
        x_label: Of the axis, with its unit.
        scores: Names in ``SCORES``; those that take their number from finished samples.
    """
    chosen = {label: swept(records, name, held) for label, records in series.items()}
    if not any(chosen.values()):
        return empty(EMPTY)
    labels = [SHORT.get(score, f"{SCORES[score].label}\n({SCORES[score].unit})") for score in scores]
    figure, panels = new_panels(len(scores), x_label, labels, columns=1, height=1.05)
    summary = []
    for axes, score in zip(panels, scores, strict=True):
        said = []
        for group in groups(series):
            curves = [_curve(chosen[label], name, score) for label in group.labels if chosen[label]]
            if curves:
                said.append(f"{named(group, len(curves))} {_draw(axes, curves, group.style, group.name)}")
        summary.append(f"{SCORES[score].label} ({SCORES[score].unit}): {'; '.join(said)}")
    values = sorted({_setting(record, name) for records in chosen.values() for record in records})
    for axes in panels:
        axes.set_xticks(values, [f"{value:g}" for value in values])
    add_legend(panels[0])
    return describe(figure, ". ".join(summary) + ".")


def swept(records: Sequence[DriftRecord], name: str, held: str) -> list[DriftRecord]:
    """The measurements of the last step with a sweep that differ in one sampling setting; empty without a sweep.

    The other setting and the number of samples are those that the most of them share; the run's own setting counts
    too, its full measurement before the cheap one. A later record takes an earlier one's place.
    """
    steps = [record.step for record in records if record.scope == "sweep" and record.chain is not None]
    if not steps:
        return []
    order = ("checkpoint", "full", "sweep")
    here = [record for record in records if record.step == max(steps) and not record.base and record.chain is not None]
    here.sort(key=lambda record: order.index(record.scope))
    points = {(_alike(record.chain, held), _setting(record, name)): record for record in here if record.chain}
    shares = Counter(alike for alike, _ in points)
    if not shares or max(shares.values()) < 2:
        return []
    most = max(shares, key=lambda alike: shares[alike])
    return [record for (alike, _), record in points.items() if alike == most]


def _alike(chain: ChainScores, held: str) -> tuple[float, ...]:
    return (getattr(chain, held), chain.samples)


def _setting(record: DriftRecord, name: str) -> float:
    return math.nan if record.chain is None else float(getattr(record.chain, name))


def _curve(records: Sequence[DriftRecord], name: str, score: str) -> Curve:
    pairs = sorted((_setting(record, name), SCORES[score].value(record)) for record in records)
    return make_curve([setting for setting, _ in pairs], [value for _, value in pairs])


def _draw(axes: Axes, curves: Sequence[Curve], style: ArmStyle, name: str) -> str:
    if len(curves) > 1:
        for points in curves:
            draw_curve(axes, points, style, **SEED_LINE)
    settings, values = mean = mean_curve(curves)
    draw_curve(axes, mean, style, name, markevery=1)
    return ", ".join(f"{number(value)} at {setting:g}" for setting, value in zip(settings, values, strict=True))
