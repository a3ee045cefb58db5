"""The frame that the plots over drift probes share: arms in their colours, the base model in grey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.figure import BASE_STYLE, add_legend, arm_styles, describe, new_axes, say_empty
from core.plots.lines import curve, draw_curve, number, show_steps, spoken
from core.runs.drift import DriftRecord

EMPTY = "No drift probe yet: one is taken with each set of samples"


def split_base(series: Mapping[str, Sequence[DriftRecord]]) -> tuple[dict[str, list[DriftRecord]], list[DriftRecord]]:
    """The probes with the adapter on, by label, and those of the base model (the same in every arm, so once)."""
    arms = {label: [record for record in records if not record.base] for label, records in series.items()}
    bases = ([record for record in records if record.base] for records in series.values())
    return arms, max(bases, key=len, default=[])


def plot_probes(
    series: Mapping[str, Sequence[DriftRecord]], value: Callable[[DriftRecord], float | None], y_label: str
) -> Figure:
    """A curve per label over the probes' steps, a marker at each."""
    figure, axes = new_axes("optimizer step", y_label)
    arms, base = split_base(series)
    curves = {label: curve(records, value) for label, records in arms.items()}
    reference = curve(base, value)
    if not len(reference[0]) and not any(len(steps) for steps, _ in curves.values()):
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    styles = arm_styles(list(series))
    summary = []
    for label, points in curves.items():
        if len(points[0]):
            draw_curve(axes, points, styles[label], label, markevery=1)
        summary.append(spoken(label, points))
    if len(reference[0]):
        level = float(reference[1][-1])
        axes.axhline(level, linewidth=1.2, label="base model", **BASE_STYLE.line)
        summary.append(f"base model: {number(level)}")
    show_steps(axes)
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
