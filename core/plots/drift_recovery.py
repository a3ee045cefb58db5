"""M5: recovery gaps by timestep. G0 and G1 fall while samples get worse, so they never stand without G2."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Series
from core.plots.timesteps import EMPTY_FULL, Part, plot_by_timestep

PARTS = (
    Part("g2", "G2"),
    Part("g1", "G1", {"linewidth": 0.9, "linestyle": "-"}),
    Part("g0", "G0", {"linewidth": 1.1, "linestyle": (0, (1, 1.5))}),
)


def draw(series: Series) -> Figure:
    """G2 thick in the arm's dash, G1 thin and solid, G0 thin and dotted."""
    return plot_by_timestep(series, PARTS, "gap (squared latent units)", empty_text=EMPTY_FULL)
