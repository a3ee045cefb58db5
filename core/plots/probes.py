"""What the plots of drift measurements share: which records they show, and the frame of those over steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.plots.arms import BASE_STYLE, arm_of, groups
from core.plots.axes import Curve, x_label
from core.plots.figure import add_legend, describe, new_axes, say_empty
from core.plots.lines import (
    draw_curve,
    draw_group,
    make_curve,
    mean_curve,
    number,
    place_mean,
    show_steps,
    unplaced,
)
from core.plots.palette import SUBDUED
from core.runs.drift import DriftRecord

EMPTY = "No drift measurement yet: one is taken with each set of samples"
Series = Mapping[str, Sequence[DriftRecord]]


def one_a_step(
    records: Sequence[DriftRecord], name: str, *, base: bool = False, prefer: str = "checkpoint"
) -> dict[int, DriftRecord]:
    """One measurement a step of those that took a metric, ascending; sweeps never.

    Args:
        records: Of one run.
        name: The metric: a field that is not empty, or a number that is finite.
        base: Those of the base model instead of the adapter's.
        prefer: Which of the scopes "checkpoint" and "full" counts where a step has both.
    """
    found = {}
    for scope in sorted(("checkpoint", "full"), key=lambda scope: scope == prefer):
        for record in records:
            if record.scope == scope and record.base is base and _is_there(getattr(record, name)):
                found[record.step] = record
    return dict(sorted(found.items()))


def _is_there(value: float | tuple) -> bool:
    return len(value) > 0 if isinstance(value, tuple) else math.isfinite(value)


def base_record(series: Series, name: str, prefer: str) -> DriftRecord | None:
    """The last measurement of the base model, which is the same in every arm."""
    for records in series.values():
        if found := one_a_step(records, name, base=True, prefer=prefer):
            return list(found.values())[-1]
    return None


@dataclass(frozen=True)
class Limit:
    """An alarm limit, drawn as a thin line.

    Attributes:
        of: From the reference's values to the limit's.
        words: Where it lies, before what it is read against.
    """

    of: Callable[[np.ndarray], np.ndarray]
    words: str


def plot_probes(series: Series, name: str, y_label: str, limit: Limit | None = None) -> Figure:
    """A curve per arm over the steps measured, a marker at each; the base model in grey.

    Args:
        series: Label to measurements.
        name: Attribute of a record, a number.
        y_label: Axis label with its unit.
        limit: Under the teacher-forced arm, or under the base model where there is no such arm.
    """
    figure, axes = new_axes(x_label(series), y_label)
    curves = {}
    for label, records in series.items():
        chosen = one_a_step(records, name)
        curves[label] = make_curve(list(chosen), [getattr(record, name) for record in chosen.values()])
    base = base_record(series, name, "checkpoint")
    if base is None and not any(len(steps) for steps, _ in curves.values()):
        say_empty(axes, EMPTY)
        return describe(figure, f"{EMPTY}.")
    summary = [draw_group(axes, series, group, curves, markevery=1) for group in groups(series)]
    level = None if base is None else float(getattr(base, name))
    if level is not None:
        axes.axhline(level, linewidth=1.2, label="base model", **BASE_STYLE.line)
        summary.append(f"base model: {number(level)}")
    show_steps(axes, series)
    if limit is not None:
        summary += _draw_limit(axes, series, curves, level, limit)
    add_legend(axes)
    return describe(figure, "; ".join(summary + unplaced(series, curves)) + ".")


def _draw_limit(axes: Axes, series: Series, curves: Mapping[str, Curve], base: float | None, limit: Limit) -> list[str]:
    look: dict[str, Any] = {"linewidth": 1.0, "linestyle": "-", "color": SUBDUED}
    said = []
    for group in groups(series):
        runs = [label for label in group.labels if len(curves[label][0])]
        if arm_of(group.name) != "teacher-forced" or not runs:
            continue
        steps, values = mean_curve([curves[label] for label in runs])
        if not len(steps):
            continue
        label = None if said else "alarm limit"
        points = place_mean(series, runs, (steps, limit.of(values)))
        draw_curve(axes, points, group.style, label, **look, marker="_", markersize=7)
        last = f"{number(limit.of(values)[-1])} at step {int(steps[-1])}"
        said.append(f"alarm limit, {limit.words} {group.name}: {last}")
    if not said and base is not None:
        level = float(limit.of(np.array([base]))[0])
        axes.axhline(level, label="alarm limit", **look)
        said.append(f"alarm limit, {limit.words} the base model: {number(level)}")
    return said
