"""Paired drift M1, mean over the inference grid, at each measurement."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Series, plot_probes


def draw(series: Series) -> Figure:
    """One curve per arm, the base model in grey."""
    return plot_probes(series, "m1_mean", "M1 (relative rms)")
