"""Curves over records: thinning, running means, and the frame that the plots over steps share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.figure import ArmStyle, add_legend, arm_styles, describe, new_axes, say_empty

POINTS = 400
"""How many points of a curve are drawn at most, about."""

Curve = tuple[np.ndarray, np.ndarray]


def thin(values: np.ndarray, limit: int = POINTS) -> np.ndarray:
    """Indices to keep, ascending: lowest and highest of each bucket, so that spikes survive, and both ends."""
    if len(values) <= limit:
        return np.arange(len(values))
    keep = {0, len(values) - 1}
    edges = np.linspace(0, len(values), limit // 2).astype(int)
    for first, last in pairwise(edges):
        bucket = values[first:last]
        if np.isfinite(bucket).any():
            keep |= {first + int(np.nanargmin(bucket)), first + int(np.nanargmax(bucket))}
    return np.array(sorted(keep))


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last ``window`` values, over fewer at the start; same length as ``values``."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def curve(records: Sequence[Any], value: Callable[[Any], float | None]) -> Curve:
    """Steps and values of the records that have a finite one."""
    pairs = [(record.step, value(record)) for record in records]
    kept = [(step, number) for step, number in pairs if number is not None and np.isfinite(number)]
    return np.array([step for step, _ in kept], dtype=float), np.array([number for _, number in kept], dtype=float)


def draw_curve(axes: Axes, points: Curve, style: ArmStyle, label: str | None = None, **more: Any) -> None:
    """One thinned curve, a few markers on it; a single point is a marker."""
    steps, values = points
    kept = thin(values)
    options: dict[str, Any] = {"linewidth": 1.8, "marker": style.marker, "markersize": 4.5, "label": label}
    options |= {"markevery": max(1, len(kept) // 8)} | style.line | more
    axes.plot(steps[kept], values[kept], **options)


def number(value: float) -> str:
    """Four digits, and no exponent for everyday sizes."""
    return f"{value:.4g}"


def spoken(label: str, points: Curve) -> str:
    """One clause of a plot's summary."""
    steps, values = points
    if not len(values):
        return f"{label}: no records"
    lowest = int(np.argmin(values))
    last = f"{number(values[-1])} at step {int(steps[-1])}"
    return f"{label}: {last}, lowest {number(values[lowest])} at step {int(steps[lowest])}"


def show_steps(axes: Axes) -> None:
    """Optimizer steps are whole numbers from 0."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]), right=max(1.0, axes.get_xlim()[1]))


def plot_over_steps(
    series: Mapping[str, Sequence[Any]],
    value: Callable[[Any], float | None],
    y_label: str,
    *,
    smooth: bool = False,
    empty: str = "No records yet",
    log: bool = False,
) -> Figure:
    """A curve per label over optimizer steps.

    Args:
        series: Label to records with a ``step``.
        value: Number of a record, or None where it has none.
        y_label: Axis label with its unit.
        smooth: Draw the values thin and their running mean thick.
        empty: What to say when no record has a value.
        log: Logarithmic axis, when all values are above zero.
    """
    figure, axes = new_axes("optimizer step", y_label)
    curves = {label: curve(records, value) for label, records in series.items()}
    drawn = {label: points for label, points in curves.items() if len(points[0])}
    if not drawn:
        say_empty(axes, empty)
        return describe(figure, f"{empty}.")
    for label, style in arm_styles(list(series)).items():
        if label not in drawn:
            continue
        steps, values = drawn[label]
        if smooth and len(values) > 20:
            draw_curve(axes, (steps, values), style, linewidth=0.7, alpha=0.3, marker="", linestyle="-")
            values = running_mean(values, max(5, len(values) // 20))
        draw_curve(axes, (steps, values), style, label)
    show_steps(axes)
    if log and all((values > 0).all() for _, values in drawn.values()):
        axes.set_yscale("log")
    add_legend(axes)
    return describe(figure, "; ".join(spoken(label, points) for label, points in curves.items()) + ".")
