"""The frame of the plots of drift measurements by timestep: noise on the left, the picture on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.plots.arms import BASE_STYLE, ArmStyle, Group, groups
from core.plots.axes import Curve
from core.plots.figure import add_legend, describe, empty, new_axes
from core.plots.lines import SEED_LINE, draw_curve, make_curve, mean_curve, named, number
from core.plots.palette import BASE, SUBDUED
from core.plots.probes import Series, base_record, one_a_step
from core.runs.drift import DriftRecord

X_LABEL = "timestep (0 = clean)"
EMPTY_FULL = "Not measured yet: only a full measurement takes it"


@dataclass(frozen=True)
class Part:
    """One metric of a plot by timestep.

    Attributes:
        field: Of a record, with a value per timestep.
        name: In words.
        look: Options of a part beside the first, thick one.
    """

    field: str
    name: str
    look: Mapping[str, Any] | None = None


def latest(series: Series, group: Group, field: str) -> dict[str, DriftRecord]:
    """One measurement a run, all of the same step: the last one that the most runs of the arm have.

    Where a step has a full measurement beside the cheap one, the full one counts. A run without that step is left out.
    """
    found = {label: one_a_step(series[label], field, prefer="full") for label in group.labels}
    steps = [step for records in found.values() for step in records]
    if not steps:
        return {}
    chosen = max(steps, key=lambda step: (steps.count(step), step))
    return {label: records[chosen] for label, records in found.items() if chosen in records}


def over_timesteps(record: DriftRecord, field: str, grid: str) -> Curve:
    """A metric over ascending timesteps."""
    pairs = sorted(zip(getattr(record, grid), getattr(record, field), strict=False))
    return make_curve([timestep for timestep, _ in pairs], [value for _, value in pairs])


def plot_by_timestep(
    series: Series, parts: Sequence[Part], y_label: str, *, grid: str = "grid", zero: bool = True, empty_text: str
) -> Figure:
    """Curves over timesteps, the last measurement of each arm and of the base model.

    Args:
        series: Label to measurements.
        parts: The metrics to draw; the first one thick. Each run's curve too where there is one metric only.
        y_label: Axis label with its unit.
        grid: The record's field with the timesteps.
        zero: Draw the level 0.
        empty_text: What to say when no record has the first metric.
    """
    figure, axes = new_axes(X_LABEL, y_label)
    summary = draw_by_timestep(axes, series, parts, grid)
    if not summary:
        return empty(empty_text)
    if zero:
        draw_zero(axes)
    axes.invert_xaxis()
    for part in parts if len(parts) > 1 else ():
        axes.plot([], [], label=part.name, **{"color": SUBDUED, "linewidth": 1.8, **(part.look or {})})
    add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")


def draw_zero(axes: Axes) -> None:
    """The level of a perfect model, or of no effect."""
    axes.axhline(0, color=BASE, linewidth=0.8, zorder=1)


def draw_by_timestep(axes: Axes, series: Series, parts: Sequence[Part], grid: str) -> list[str]:
    """The curves of ``plot_by_timestep``; a clause per arm, none where nothing was measured."""
    summary = []
    for group in groups(series):
        records = list(latest(series, group, parts[0].field).values())
        if records:
            said = _draw(axes, records, parts, grid, group.style, group.name)
            summary.append(f"{named(group, len(records))}, step {records[0].step}: {said}")
    base = base_record(series, parts[0].field, "full")
    if base is not None:
        summary.append(f"base model: {_draw(axes, [base], parts, grid, BASE_STYLE, 'base model')}")
    return summary


def _draw(
    axes: Axes, records: Sequence[DriftRecord], parts: Sequence[Part], grid: str, style: ArmStyle, name: str
) -> str:
    said = []
    for part in parts:
        curves = [over_timesteps(record, part.field, grid) for record in records]
        mean = mean_curve([points for points in curves if len(points[0])] or curves)
        thick = part is parts[0]
        if len(parts) == 1 and len(curves) > 1:
            for points in curves:
                draw_curve(axes, points, style, **SEED_LINE)
        look = {"markersize": 3.5, "markevery": 1} if thick else {"marker": "", **(part.look or {})}
        draw_curve(axes, mean, style, name if thick else f"_{name}, {part.name}", **look)
        said.append(f"{part.name} {_range(mean)}")
    return ", ".join(said)


def _range(points: Curve) -> str:
    timesteps, values = points
    if not len(values):
        return "not measured at the same timesteps"
    high, low = int(np.argmax(values)), int(np.argmin(values))
    largest = f"largest {number(values[high])} at timestep {timesteps[high]:.0f}"
    return f"{largest}, smallest {number(values[low])} at timestep {timesteps[low]:.0f}" if high != low else largest
