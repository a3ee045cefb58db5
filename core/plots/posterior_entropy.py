"""Entropy of the posterior target's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.runs.records import StepRecord

EMPTY = "No item rolled out with the posterior target yet"


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label; 0 means that the target is one training picture."""
    return plot_over_steps(series, "posterior_entropy", "entropy (nats)", smooth=True, empty=EMPTY)
