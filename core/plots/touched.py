"""Where rollouts start and which part of the path from noise to picture they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from core.plots.arms import arm_styles
from core.plots.figure import SMALL, add_legend, describe, new_axes, say_empty
from core.plots.palette import SUBDUED
from core.plots.preview import OFF, Preview, latest
from core.rollout.expected import touched_timesteps

BINS = 50


def draw(series: Mapping[str, Sequence[Preview]]) -> Figure:
    """Share of the picked items per bin of timesteps that a rollout passes, as an area; where it starts, as a line.

    An upright line marks the timestep up to which anchored targets are safe, where that was measured.
    """
    figure, axes = new_axes("timestep (0 = clean)", "share of picked items", SMALL)
    shown = {label: preview for label, preview in latest(series).items() if preview.options.enabled}
    if not shown:
        say_empty(axes, OFF)
        return describe(figure, f"{OFF}.")
    styles, summary = arm_styles(list(series)), []
    for label, preview in shown.items():
        touched = touched_timesteps(preview.options, preview.last, BINS, preview.grid, preview.shares)
        middle = (touched["edges"][:-1] + touched["edges"][1:]) / 2
        prefix = f"{label}: " if len(shown) > 1 else ""
        axes.stairs(
            touched["covered"],
            touched["edges"],
            fill=True,
            alpha=0.25,
            color=styles[label].colour,
            linewidth=0,
            label=f"{prefix}passed",
        )
        axes.plot(
            middle,
            touched["source"],
            linewidth=1.6,
            drawstyle="steps-mid",
            label=f"{prefix}start",
            **styles[label].line,
        )
        peak = int(np.argmax(touched["covered"]))
        share = touched["covered"][peak]
        summary.append(f"{label}: most pass timestep {middle[peak]:.0f}, {share:.0%} of the picked items")
    levels = {preview.level_timestep for preview in shown.values() if preview.level_timestep is not None}
    for level in sorted(levels):
        axes.axvline(level, color=SUBDUED, linewidth=1.2, linestyle=(0, (2, 2)), label="safe")
        summary.append(f"anchored targets are safe up to timestep {level:.0f}")
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", pad=6)
    axes.invert_xaxis()
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
