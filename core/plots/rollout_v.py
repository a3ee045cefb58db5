"""Variance V of the rollouts that the training itself makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.runs.records import StepRecord


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label; steps in which no item was rolled out have no value."""
    return plot_over_steps(
        series,
        "rollout_v",
        "V (log ratio of variances)",
        smooth=True,
        empty="No item has been rolled out yet",
    )
