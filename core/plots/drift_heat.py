"""M1 over timestep and optimizer step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from core.plots.arms import Group, groups
from core.plots.figure import describe, empty
from core.plots.heat import Panel, plot_heat
from core.plots.lines import named, number
from core.plots.probes import EMPTY, Series, one_a_step
from core.runs.drift import DriftRecord


def draw(series: Series) -> Figure:
    """One panel an arm; of several runs the mean, over the steps that all of them have."""
    panels, summary = [], []
    for group in groups(series):
        runs = _on_one_grid([one_a_step(series[label], "m1") for label in group.labels])
        panel = _panel(group, runs) if runs else None
        if panel is None:
            summary.append(f"{group.name}: {'no step that all of its runs have' if runs else 'no records'}")
            continue
        panels.append(panel)
        row, column = np.unravel_index(np.nanargmax(panel.values), panel.values.shape)
        where = f"at timestep {panel.timesteps[column]:.0f}, step {panel.rows[row]:.0f}"
        summary.append(f"{named(group, len(runs))}: largest {number(panel.values[row, column])} {where}")
    if not panels:
        return empty(EMPTY)
    figure = plot_heat(panels, "optimizer step", "M1 (relative rms)", diverging=False)
    return describe(figure, "; ".join(summary) + ".")


def _on_one_grid(runs: list[dict[int, DriftRecord]]) -> list[dict[int, DriftRecord]]:
    """Those on the grid of the first run's last one: measurements at other timesteps have no place in its columns."""
    first = next((run for run in runs if run), None)
    grid = list(first.values())[-1].grid if first else ()
    alike = [{step: record for step, record in run.items() if record.grid == grid} for run in runs]
    return [run for run in alike if run]


def _panel(group: Group, runs: list[dict[int, DriftRecord]]) -> Panel | None:
    """None where no step is common to all runs, or where nothing in it is finite."""
    steps = sorted(set.intersection(*(set(run) for run in runs)))
    if not steps:
        return None
    grid = np.array(runs[0][steps[0]].grid, dtype=float)
    order = np.argsort(grid)
    values = np.array([np.mean([run[step].m1 for run in runs], axis=0)[order] for step in steps])
    if not np.isfinite(values).any():
        return None
    return Panel(group.name, grid[order], np.array(steps, dtype=float), values)
