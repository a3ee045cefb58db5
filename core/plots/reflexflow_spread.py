"""How far ReflexFlow's weights lie from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.plots.reflexflow import EMPTY
from core.runs.records import StepRecord


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label; at 0 the weights do nothing."""
    return plot_over_steps(series, "reflexflow_spread", "rms of weight - 1", smooth=True, empty=EMPTY)
