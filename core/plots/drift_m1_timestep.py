"""Paired drift M1 at each timestep of the inference grid, at the last probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from core.plots.figure import BASE_STYLE, add_legend, arm_styles, describe, new_axes, say_empty
from core.plots.lines import draw_curve, number
from core.plots.probes import EMPTY, split_base
from core.runs.drift import DriftRecord


def draw(series: Mapping[str, Sequence[DriftRecord]]) -> Figure:
    """One curve per label over timesteps, noise on the left and the picture on the right, as sampling goes."""
    figure, axes = new_axes("timestep (0 = clean)", "M1 (relative rms)")
    arms, base = split_base(series)
    styles = arm_styles(list(series))
    last = [(label, records[-1], styles[label]) for label, records in arms.items() if records]
    if base:
        last.append(("base model", base[-1], BASE_STYLE))
    summary = []
    for label, record, style in last:
        grid, values = np.asarray(record.grid, dtype=float), np.asarray(record.m1, dtype=float)
        order = np.argsort(grid)
        if not len(order):
            continue
        draw_curve(axes, (grid[order], values[order]), style, label, markersize=3.5)
        peak = int(np.argmax(values))
        summary.append(f"{label}: largest {number(values[peak])} at timestep {int(grid[peak])} (step {record.step})")
    if not summary:
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    axes.invert_xaxis()
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
