"""M3b: norm of the predicted noise on self-generated states against that on true ones, by timestep."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Series
from core.plots.timesteps import EMPTY_FULL, Part, plot_by_timestep


def draw(series: Series) -> Figure:
    """One curve per arm; about 0 for a perfect model."""
    parts = [Part("epsilon_norm", "noise norm")]
    return plot_by_timestep(series, parts, "noise norm, ratio - 1 (relative)", empty_text=EMPTY_FULL)
