"""A score against the compute of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.frontier import plot_frontier
from core.plots.scored import ScoredRun
from core.runs.scores import DEFAULT_SCORE


def draw(series: Mapping[str, Sequence[ScoredRun]], score: str = DEFAULT_SCORE) -> Figure:
    """A point a run; ``score`` is the declared one."""
    return plot_frontier(series, "compute", "forward equivalents (items)", "forward equivalents", score)
