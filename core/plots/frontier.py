"""The frame of the plots of a score against what the training cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.arms import groups
from core.plots.figure import FONT, add_legend, describe, new_axes, say_empty
from core.plots.lines import number
from core.plots.scored import EMPTY, ScoredRun
from core.runs.scores import SCORES


def plot_frontier(
    series: Mapping[str, Sequence[ScoredRun]], cost: str, cost_label: str, cost_words: str, score: str
) -> Figure:
    """A small point a run, a large one for the mean of an arm.

    Args:
        series: Label to scored runs.
        cost: Attribute of a run.
        cost_label: Axis label with its unit.
        cost_words: The unit, for the summary.
        score: Name in ``SCORES``.
    """
    chosen = SCORES[score]
    figure, axes = new_axes(cost_label, fill(f"{chosen.label} ({chosen.unit})", 32))
    summary = []
    for group in groups(series):
        runs = [run for label in group.labels for run in series[label]]
        points = np.array([(getattr(run, cost), run.values.get(score, math.nan)) for run in runs]).reshape(-1, 2)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            summary.append(f"{group.name}: not scored")
            continue
        look: dict[str, Any] = {"color": group.style.colour, "marker": group.style.marker, "linestyle": "none"}
        if len(points) > 1:
            axes.plot(*points.T, markersize=4, alpha=0.45, markeredgewidth=0, label=f"_{group.name}, each run", **look)
        x, y = points.mean(axis=0)
        axes.plot([x], [y], markersize=7.5, label=group.name, **look)
        share = f"{len(points)} of {len(runs)}" if len(points) < len(runs) else f"{len(runs)}"
        of = f" (mean of {share} runs)" if len(runs) > 1 else ""
        summary.append(f"{group.name}{of}: {number(y)} for {number(x)} {cost_words}")
    if not axes.lines:
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    axes.set_xlim(0, 1.06 * axes.dataLim.x1)
    axes.yaxis.label.set_fontsize(FONT - 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    add_legend(axes)
    return describe(figure, f"{chosen.label} ({chosen.unit}): {'; '.join(summary)}.")
