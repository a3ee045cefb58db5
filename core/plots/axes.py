"""What curves over optimizer steps are drawn against: the steps themselves, or what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from core.runs.records import StepRecord

Unit = Literal["steps", "forwards", "seconds"]
UNITS: Mapping[Unit, str] = {
    "steps": "optimizer step",
    "forwards": "forward equivalents (items)",
    "seconds": "training time (s)",
}
"""Axis labels."""

Curve = tuple[np.ndarray, np.ndarray]


class Placed(dict[str, Sequence[Any]]):
    """Series, as for any plot over optimizer steps, that is to be drawn against what the steps cost.

    Attributes:
        unit: Of the axis.
        costs: For each label its steps, ascending, and what the training had cost after each.
    """

    def __init__(self, series: Mapping[str, Sequence[Any]], unit: Unit, costs: Mapping[str, Curve]) -> None:
        super().__init__(series)
        self.unit: Unit = unit
        self.costs = costs


def against(
    series: Mapping[str, Sequence[Any]],
    costs: Mapping[str, Sequence[StepRecord]],
    unit: Unit,
    *,
    backward: float = 3,
) -> Mapping[str, Sequence[Any]]:
    """The same series, drawn over another axis by every plot over optimizer steps.

    Args:
        series: Label to records with a ``step``.
        costs: Label to the steps of that run.
        unit: Optimizer steps, forward equivalents (forwards without gradient plus ``backward`` times the trained
            states) or seconds of training.
        backward: What a trained state costs in forwards: 3, with gradient checkpointing 4.
    """
    if unit == "steps":
        return series
    return Placed(series, unit, {label: _costs(costs.get(label, ()), unit, backward) for label in series})


def x_label(series: Mapping[str, Sequence[Any]]) -> str:
    """The axis label with its unit."""
    return UNITS[series.unit] if isinstance(series, Placed) else UNITS["steps"]


def place(series: Mapping[str, Sequence[Any]], label: str, steps: np.ndarray) -> np.ndarray:
    """Where steps of a run lie on the axis; NaN where their cost is not known."""
    if not isinstance(series, Placed):
        return steps
    known, cost = (np.concatenate([[0.0], part]) for part in series.costs[label])
    at = np.minimum(np.searchsorted(known, steps), len(known) - 1)
    return np.where(known[at] == steps, cost[at], np.nan)


def _costs(records: Sequence[StepRecord], unit: Unit, backward: float) -> Curve:
    """Costs up to the first step that the journal does not hold: behind it, a sum would be too low."""
    last = {record.step: record for record in records}
    steps = np.array(sorted(last), dtype=float)
    if unit == "seconds":
        return steps, np.array([last[int(step)].elapsed for step in steps], dtype=float)
    whole = steps[steps == np.arange(1, len(steps) + 1)]
    spent = [last[int(step)].rollout_forwards + backward * last[int(step)].trained_states for step in whole]
    return whole, np.cumsum(np.array(spent, dtype=float))
