"""The training loss of each step and its running mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.runs.records import StepRecord


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label."""
    return plot_over_steps(series, "loss", "loss (mean squared error)", smooth=True)
