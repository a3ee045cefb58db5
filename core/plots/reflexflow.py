"""The two parts of ReflexFlow's loss, apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.figure import add_legend, arm_styles, describe, new_axes, say_empty
from core.plots.lines import curve, draw_curve, number, running_mean, show_steps
from core.runs.records import StepRecord

EMPTY = "No item rolled out with ReflexFlow yet"


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """Direction loss as a line in the arm's dash, weighted squared error as a thin solid line in its colour.

    Both are running means, before beta1 and beta2, on a logarithmic axis where they allow it.
    """
    figure, axes = new_axes("optimizer step", "mean over rolled states")
    styles, summary, lowest = arm_styles(list(series)), [], []
    for label, records in series.items():
        direction = curve(records, lambda record: record.reflexflow_direction)
        error = curve(records, lambda record: record.reflexflow_error)
        if not len(direction[0]) or not len(error[0]):
            continue
        parts = [(steps, running_mean(values, max(5, len(values) // 20))) for steps, values in (direction, error)]
        draw_curve(axes, parts[0], styles[label], label)
        draw_curve(axes, parts[1], styles[label], linewidth=0.9, linestyle="-", marker="")
        lowest += [values.min() for _, values in parts]
        at = f"at step {int(direction[0][-1])}"
        summary.append(f"{label}: direction {number(direction[1][-1])}, weighted error {number(error[1][-1])} {at}")
    if not summary:
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    show_steps(axes)
    if min(lowest) > 0:
        axes.set_yscale("log")
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
