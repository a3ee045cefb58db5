"""The two parts of ReflexFlow's loss, apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.arms import groups
from core.plots.axes import x_label
from core.plots.figure import add_legend, describe, new_axes, say_empty
from core.plots.lines import curve, draw_curve, mean_curve, named, number, place_mean, running_mean, show_steps
from core.runs.records import StepRecord

EMPTY = "No item rolled out with ReflexFlow yet"


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """Direction loss as a line in the arm's dash, weighted squared error as a thin solid line in its colour.

    Both are running means, of several runs over the mean, before beta1 and beta2, on a logarithmic axis where they
    allow it.
    """
    figure, axes = new_axes(x_label(series), "mean over rolled states")
    summary, lowest = [], []
    for group in groups(series):
        found = {label: curve(series[label], "reflexflow_direction") for label in group.labels}
        runs = [label for label, points in found.items() if len(points[0])]
        if not runs:
            continue
        direction = mean_curve([found[label] for label in runs])
        error = mean_curve([curve(series[label], "reflexflow_error") for label in runs])
        if not len(direction[0]) or not len(error[0]):
            continue
        parts = [(steps, running_mean(values, max(5, len(values) // 20))) for steps, values in (direction, error)]
        draw_curve(axes, place_mean(series, runs, parts[0]), group.style, group.name)
        thin = {"linewidth": 0.9, "linestyle": "-", "marker": ""}
        draw_curve(axes, place_mean(series, runs, parts[1]), group.style, f"_{group.name}, weighted error", **thin)
        lowest += [values.min() for _, values in parts]
        at = f"at step {int(direction[0][-1])}"
        name = named(group, len(runs))
        summary.append(f"{name}: direction {number(direction[1][-1])}, weighted error {number(error[1][-1])} {at}")
    if not summary:
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    show_steps(axes, series)
    if min(lowest) > 0:
        axes.set_yscale("log")
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")
