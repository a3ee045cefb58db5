"""M6: how much of a displacement the model's clean estimate carries on, by timestep."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Series
from core.plots.timesteps import EMPTY_FULL, Part, plot_by_timestep

PARTS = (
    Part("restoring", "own drift"),
    Part("restoring_noise", "isotropic noise", {"linewidth": 0.9, "linestyle": "-"}),
)


def draw(series: Series) -> Figure:
    """Along the model's own drift thick in the arm's dash, along isotropic noise of the same size thin and solid."""
    return plot_by_timestep(series, PARTS, "restoring coefficient (1)", empty_text=EMPTY_FULL)
