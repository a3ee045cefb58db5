"""Variance V at the ends of short self-generated paths, by timestep, at the last measurement."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import EMPTY, Series
from core.plots.timesteps import Part, plot_by_timestep


def draw(series: Series) -> Figure:
    """One curve per arm; short paths alone, never the free-running chain."""
    return plot_by_timestep(series, [Part("v", "V")], "V of short paths (nats)", empty_text=EMPTY)
