"""How long a training step takes with rollout, relative to plain training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.arms import arm_styles
from core.plots.figure import SMALL, describe, new_axes, say_empty
from core.plots.palette import BASE, INK
from core.plots.preview import Preview, latest


def draw(series: Mapping[str, Sequence[Preview]]) -> Figure:
    """A bar per label: as measured, with its seconds; else from proportional cost to that of calls which are never
    faster for holding fewer items."""
    figure, axes = new_axes("step time (1 = plain training)", "", SMALL)
    shown = latest(series)
    if not shown:
        say_empty(axes, "No options to preview")
        return describe(figure, "No options to preview.")
    styles, summary = arm_styles(list(series)), []
    rows = {label: _times(preview) for label, preview in shown.items()}
    for row, (label, (low, high)) in enumerate(rows.items()):
        axes.barh(row, low, height=0.5, color=styles[label].colour, label="_at least")
        axes.barh(row, high - low, left=low, height=0.5, color=styles[label].colour, alpha=0.35, label="_at most")
        axes.text(
            high,
            row,
            f" {_words(shown[label])}",
            va="center",
            color=INK,
            fontsize=9,
        )
        summary.append(f"{label}: {_words(shown[label])} times a plain step")
    axes.axvline(1, color=BASE, linewidth=1)
    axes.set_yticks(range(len(rows)), list(rows), rotation=90 if len(rows) == 1 else 0, va="center")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max(high for _, high in rows.values()) * 1.5)
    axes.grid(visible=False)
    return describe(figure, "; ".join(summary) + ".")


def _times(preview: Preview) -> tuple[float, float]:
    return preview.cost.relative_step_time, preview.cost.relative_step_time_upper


def _words(preview: Preview) -> str:
    low, high = _times(preview)
    seconds = "" if preview.cost.seconds_per_step is None else f"{preview.cost.seconds_per_step:.2g} s, "
    return f"{seconds}{low:.2f}" if high - low < 0.005 else f"{low:.2f} to {high:.2f}"
