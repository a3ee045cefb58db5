"""Share of the nearest training picture in the posterior target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.plots.posterior_entropy import EMPTY
from core.runs.records import StepRecord


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label; 1 means that the target is one training picture."""
    return plot_over_steps(series, "posterior_nearest", "share of the nearest (0 to 1)", smooth=True, empty=EMPTY)
