"""M4: energy by frequency band of the clean estimates on self-generated states against those on true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.arms import groups
from core.plots.figure import describe, empty
from core.plots.heat import Panel, plot_heat
from core.plots.lines import named, number
from core.plots.probes import Series, base_record
from core.plots.timesteps import EMPTY_FULL, latest
from core.runs.drift import DriftRecord


def draw(series: Series) -> Figure:
    """One panel an arm and one for the base model: bands upward from coarse to fine; of several runs the mean."""
    panels, summary = [], []
    for group in groups(series):
        records = list(latest(series, group, "bands").values())
        alike = [record for record in records if record.grid == records[0].grid]
        if panel := _panel(group.name, alike):
            panels.append(panel)
            summary.append(f"{named(group, len(alike))}, step {alike[0].step}: {_words(panel)}")
    base = base_record(series, "bands", "full")
    if base is not None and (panel := _panel("base model", [base])):
        panels.append(panel)
        summary.append(f"base model: {_words(panel)}")
    if not panels:
        return empty(EMPTY_FULL)
    figure = plot_heat(panels, "band (1 = coarse)", "band energy, ln ratio (nats)", diverging=True, height=1.05)
    for axes in figure.axes[: len(panels)]:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return describe(figure, "; ".join(summary) + ".")


def _panel(name: str, records: Sequence[DriftRecord]) -> Panel | None:
    if not records:
        return None
    grid = np.array(records[0].grid, dtype=float)
    order = np.argsort(grid)
    values = np.mean([record.bands for record in records], axis=0)[order].T
    return Panel(name, grid[order], np.arange(1.0, len(values) + 1), values) if np.isfinite(values).any() else None


def _words(panel: Panel) -> str:
    row, column = np.unravel_index(np.nanargmax(np.abs(panel.values)), panel.values.shape)
    where = f"at band {panel.rows[row]:.0f}, timestep {panel.timesteps[column]:.0f}"
    return f"farthest from 0 is {number(panel.values[row, column])} {where}"
