"""M2: how far self-generated states lie behind the noise schedule, and what that leaves unexplained, by timestep."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.figure import add_legend, describe, empty
from core.plots.panels import new_panels
from core.plots.probes import Series
from core.plots.timesteps import EMPTY_FULL, X_LABEL, Part, draw_by_timestep, draw_zero


def draw(series: Series) -> Figure:
    """Above the lag, below it the residual: two units, so two axes."""
    figure, (upper, lower) = new_panels(2, X_LABEL, ("lag (grid steps)", "residual (rel. rms)"), columns=1)
    lag = draw_by_timestep(upper, series, [Part("lag", "lag")], "grid")
    residual = draw_by_timestep(lower, series, [Part("lag_residual", "residual")], "grid")
    if not lag:
        return empty(EMPTY_FULL)
    draw_zero(upper)
    for axes in (upper, lower):
        axes.invert_xaxis()
    add_legend(upper)
    return describe(figure, "; ".join(lag + residual) + ".")
