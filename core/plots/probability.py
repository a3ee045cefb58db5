"""The planned probability of a rollout, and the share of items that was rolled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from core.plots.arms import groups
from core.plots.axes import x_label
from core.plots.figure import add_legend, describe, new_axes, say_empty
from core.plots.lines import curve, draw_curve, mean_curve, named, number, place_mean, running_mean, show_steps
from core.runs.records import StepRecord

WINDOW = 20
"""Steps over which the realised share is taken: one step has too few items to show a share."""


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """Planned as a line in the arm's dash, realised as a thin solid line in its colour; of several runs the mean.

    Realised counts items with k > 0 and lies below the plan by design: k = 0 is drawn once in K+1 times.
    """
    figure, axes = new_axes(x_label(series), "share of items (0 to 1)")
    summary = []
    for group in groups(series):
        runs = [label for label in group.labels if series[label]]
        if not runs:
            continue
        planned, rolled, items = (
            mean_curve([curve(series[label], name) for label in runs]) for name in ("probability", "rolled", "items")
        )
        realised = running_mean(rolled[1], WINDOW) / np.maximum(running_mean(items[1], WINDOW), 1e-9)
        draw_curve(axes, place_mean(series, runs, planned), group.style, group.name)
        thin = {"linewidth": 0.9, "linestyle": "-", "marker": "", "label": f"_{group.name}, realised"}
        draw_curve(axes, place_mean(series, runs, (rolled[0], realised)), group.style, **thin)
        if len(realised):
            last = f"planned {number(planned[1][-1])}, realised {number(realised[-1])} at the last step"
            summary.append(f"{named(group, len(runs))}: {last}")
    if not summary:
        say_empty(axes)
        return describe(figure, "No records yet.")
    show_steps(axes, series)
    axes.set_ylim(-0.04, 1.04)
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
