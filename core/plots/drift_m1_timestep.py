"""Paired drift M1 at each timestep of the inference grid, at the last measurement."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import EMPTY, Series
from core.plots.timesteps import Part, plot_by_timestep


def draw(series: Series) -> Figure:
    """One curve per arm; no level 0, for a perfect model lies above it too."""
    return plot_by_timestep(series, [Part("m1", "M1")], "M1 (relative rms)", zero=False, empty_text=EMPTY)
