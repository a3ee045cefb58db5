"""Variance V along the free-running chain, by timestep, at the last full measurement."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Series
from core.plots.timesteps import EMPTY_FULL, Part, plot_by_timestep


def draw(series: Series) -> Figure:
    """One curve per arm; the chain from pure noise alone, never short paths."""
    return plot_by_timestep(
        series, [Part("free_v", "V")], "V of the chain (nats)", grid="free_grid", empty_text=EMPTY_FULL
    )
