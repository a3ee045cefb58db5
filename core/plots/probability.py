"""The planned probability of a rollout, and the share of items that was rolled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from core.plots.figure import add_legend, arm_styles, describe, new_axes, say_empty
from core.plots.lines import curve, draw_curve, number, running_mean, show_steps
from core.runs.records import StepRecord

WINDOW = 20
"""Steps over which the realised share is taken: one step has too few items to show a share."""


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """Planned as a line in the arm's dash, realised as a thin solid line in its colour.

    Realised counts items with k > 0 and lies below the plan by design: k = 0 is drawn once in K+1 times.
    """
    figure, axes = new_axes("optimizer step", "share of items (0 to 1)")
    styles, summary = arm_styles(list(series)), []
    for label, records in series.items():
        planned = curve(records, lambda record: record.probability)
        if not len(planned[0]):
            continue
        rolled = curve(records, lambda record: float(record.rolled))
        items = curve(records, lambda record: float(record.items))
        realised = running_mean(rolled[1], WINDOW) / np.maximum(running_mean(items[1], WINDOW), 1e-9)
        draw_curve(axes, planned, styles[label], label)
        draw_curve(axes, (rolled[0], realised), styles[label], linewidth=0.9, linestyle="-", marker="")
        summary.append(f"{label}: planned {number(planned[1][-1])}, realised {number(realised[-1])} at the last step")
    if not summary:
        say_empty(axes)
        return describe(figure, "No records yet.")
    show_steps(axes)
    axes.set_ylim(-0.04, 1.04)
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
