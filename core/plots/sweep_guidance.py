"""Scores of finished samples against the guidance."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from core.plots.probes import Series
from core.plots.sweep import SHOWN, plot_sweep


def draw(series: Series, scores: Sequence[str] = SHOWN) -> Figure:
    """A panel a score, a curve an arm; the number of sampling steps is the same throughout."""
    return plot_sweep(series, "guidance", "inference_steps", "guidance scale (1 = none)", scores)
