"""Curves over records: thinning, means over seeds, running means, and the frame of the plots over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import attrgetter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.arms import ArmStyle, Group, groups
from core.plots.axes import Curve, Placed, place, x_label
from core.plots.figure import add_legend, describe, new_axes, say_empty

POINTS = 400
"""How many points of a curve are drawn at most, about."""
SEED_LINE: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.55, "marker": ""}
"""How each run looks where several of one arm are drawn, beside their mean."""


def thin(values: np.ndarray, limit: int = POINTS) -> np.ndarray:
    """Indices to keep, ascending: lowest and highest of each bucket, so that spikes survive, and both ends."""
    if len(values) <= limit:
        return np.arange(len(values))
    starts = np.linspace(0, len(values), limit // 2).astype(int)[:-1]
    kept = [np.array([0, len(values) - 1])]
    for first, last in zip(starts, [*starts[1:], len(values)], strict=True):
        bucket = values[first:last]
        if np.isfinite(bucket).any():
            kept.append(first + np.array([np.nanargmin(bucket), np.nanargmax(bucket)]))
    return np.unique(np.concatenate(kept))


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last ``window`` values, over fewer at the start; same length as ``values``."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def curve(records: Sequence[Any], name: str) -> Curve:
    """Steps, ascending, and an attribute's values, of the records that have a finite one; the last of a step counts."""
    return make_curve(list(map(attrgetter("step"), records)), list(map(attrgetter(name), records)))


def make_curve(at: Sequence[float], values: Sequence[float | None]) -> Curve:
    """A curve over ascending places; values that are None or not finite are left out."""
    x, y = np.array(at, dtype=float), np.array(values, dtype=float)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if (np.diff(x) > 0).all():
        return x, y
    x, last = np.unique(x[::-1], return_index=True)
    return x, y[::-1][last]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over the places that all curves have; nothing is interpolated."""
    if len(curves) == 1:
        return curves[0]
    common = reduce(np.intersect1d, [x for x, _ in curves])
    return common, np.mean([y[np.searchsorted(x, common)] for x, y in curves], axis=0)


def smoothed(points: Curve) -> Curve:
    """The running mean over a twentieth of the curve; a short curve as it is."""
    steps, values = points
    return (steps, running_mean(values, max(5, len(values) // 20))) if len(values) > 20 else points


def draw_curve(axes: Axes, points: Curve, style: ArmStyle, label: str | None = None, **more: Any) -> None:
    """One thinned curve, a few markers on it; a single point is a marker."""
    known = np.isfinite(points[0])
    x, values = points[0][known], points[1][known]
    kept = thin(values)
    options: dict[str, Any] = {"linewidth": 1.8, "marker": style.marker, "markersize": 4.5, "label": label}
    options |= {"markevery": max(1, len(kept) // 8)} | style.line | more
    axes.plot(x[kept], values[kept], **options)


def place_mean(series: Mapping[str, Sequence[Any]], labels: Sequence[str], points: Curve) -> Curve:
    """A mean curve of some runs where it lies on the axis: at the mean of what its steps cost each run."""
    return np.mean([place(series, label, points[0]) for label in labels], axis=0), points[1]


def draw_group(
    axes: Axes,
    series: Mapping[str, Sequence[Any]],
    group: Group,
    curves: Mapping[str, Curve],
    *,
    smooth: bool = False,
    **more: Any,
) -> str:
    """An arm: its run, or each of its runs thin and their mean thick.

    Args:
        axes: To draw on.
        series: What the plot was given; it says what steps are drawn against.
        group: The arm.
        curves: Of its runs, over steps.
        smooth: Draw running means, and where there is one run its values too, thin.
        more: Further options of the thick line.

    Returns:
        A clause of the plot's summary.
    """
    runs = {label: curves[label] for label in group.labels if len(curves[label][0])}
    if not runs:
        return f"{group.name}: no records"
    mean = mean_curve(list(runs.values()))
    if len(runs) > 1:
        for label, points in runs.items():
            steps, values = smoothed(points) if smooth else points
            draw_curve(axes, (place(series, label, steps), values), group.style, **SEED_LINE)
    elif smooth and len(mean[0]) > 20:
        thin_line = {"linewidth": 0.7, "alpha": 0.3, "marker": "", "linestyle": "-"}
        draw_curve(axes, place_mean(series, list(runs), mean), group.style, f"_{group.name}, each step", **thin_line)
    thick = smoothed(mean) if smooth else mean
    draw_curve(axes, place_mean(series, list(runs), thick), group.style, group.name, **more)
    return spoken(group, runs, mean)


def number(value: float) -> str:
    """Four digits, and no exponent for everyday sizes."""
    return f"{value:.4g}"


def named(group: Group, runs: int) -> str:
    """The arm, and how many runs its mean is over."""
    if len(group.labels) == 1:
        return group.name
    of = f" of {len(group.labels)}" if runs < len(group.labels) else ""
    return f"{group.name} (mean of {runs}{of} runs)" if runs > 1 or of else group.name


def spoken(group: Group, runs: Mapping[str, Curve], points: Curve) -> str:
    """One clause of a plot's summary."""
    steps, values = points
    name = named(group, len(runs))
    if not len(values):
        return f"{name}: no step that all of its runs have"
    lowest = int(np.argmin(values))
    last = f"{number(values[-1])} at step {int(steps[-1])}"
    said = f"{name}: {last}, lowest {number(values[lowest])} at step {int(steps[lowest])}"
    left = len(reduce(np.union1d, [x for x, _ in runs.values()])) - len(steps)
    return said + (f" ({left} steps that not all have are left out of the mean)" if left else "")


def unplaced(series: Mapping[str, Sequence[Any]], curves: Mapping[str, Curve]) -> list[str]:
    """A clause per run with points that are not drawn since what their steps cost is not known."""
    lost = {label: int(np.isnan(place(series, label, steps)).sum()) for label, (steps, _) in curves.items()}
    return [f"{label}: {count} points not drawn, their cost is not recorded" for label, count in lost.items() if count]


def show_steps(axes: Axes, series: Mapping[str, Sequence[Any]]) -> None:
    """Optimizer steps are whole numbers from 0; so do costs begin at 0."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7 if not isinstance(series, Placed) else 5, integer=True))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]), right=max(1.0, axes.get_xlim()[1]))


def widen_level(axes: Axes) -> None:
    """Room around values that are all the same: rounding errors are not drawn as if they were a course."""
    low, high = axes.dataLim.intervaly
    size = max(abs(low), abs(high))
    if math.isfinite(size) and high - low < 1e-9 * size:
        axes.set_ylim(low - 0.05 * size, high + 0.05 * size)


def plot_over_steps(
    series: Mapping[str, Sequence[Any]],
    name: str,
    y_label: str,
    *,
    smooth: bool = False,
    empty: str = "No records yet",
    log: bool = False,
) -> Figure:
    """A curve per arm over optimizer steps, or over what ``axes.against`` puts in their place.

    Args:
        series: Label to records with a ``step``.
        name: Attribute of a record: a number, or None where it has none.
        y_label: Axis label with its unit.
        smooth: Draw the values thin and their running mean thick.
        empty: What to say when no record has a value.
        log: Logarithmic axis, when all values are above zero.
    """
    figure, axes = new_axes(x_label(series), y_label)
    curves = {label: curve(records, name) for label, records in series.items()}
    if not any(len(steps) for steps, _ in curves.values()):
        say_empty(axes, empty)
        return describe(figure, f"{empty}.")
    summary = [draw_group(axes, series, group, curves, smooth=smooth) for group in groups(series)]
    show_steps(axes, series)
    if log and all((values > 0).all() for _, values in curves.values()):
        axes.set_yscale("log")
    else:
        widen_level(axes)
    add_legend(axes)
    return describe(figure, "; ".join(summary + unplaced(series, curves)) + ".")
