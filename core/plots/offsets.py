"""How often each rollout length k is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from core.plots.arms import arm_styles
from core.plots.figure import SMALL, add_legend, describe, new_axes, say_empty
from core.plots.preview import OFF, Preview, latest
from core.rollout.expected import cut_distribution


def draw(series: Mapping[str, Sequence[Preview]]) -> Figure:
    """Bars over k = 0..K for an item picked for a rollout, those cut at the end of the noise schedule included."""
    figure, axes = new_axes("rollout length k (rollout steps)", "share of picked items", SMALL)
    shown = {label: preview for label, preview in latest(series).items() if preview.options.enabled}
    if not shown:
        say_empty(axes, OFF)
        return describe(figure, f"{OFF}.")
    styles, summary = arm_styles(list(series)), []
    width = 0.8 / len(shown)
    for place, (label, preview) in enumerate(shown.items()):
        shares = cut_distribution(preview.options, preview.last, preview.grid, preview.shares)
        lengths = np.arange(len(shares))
        left = lengths + (place - (len(shown) - 1) / 2) * width
        bars = axes.bar(left, shares, width * 0.92, color=styles[label].colour, label=label)
        bars[0].set_alpha(0.45)
        summary.append(
            f"{label}: k = 0, teacher-forced, {shares[0]:.0%}; mean k {shares @ lengths:.2f}; longest {lengths[-1]}"
        )
    longest = max(preview.options.max_step_offset for preview in shown.values())
    if longest <= 12:
        axes.set_xticks(range(longest + 1))
    if len(shown) > 1:
        add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
