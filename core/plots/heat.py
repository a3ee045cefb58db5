"""Heat maps over timesteps: noise on the left, the picture on the right, one panel an arm, one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from core.plots.figure import FONT
from core.plots.panels import add_scale, name_panel, new_panels
from core.plots.table import keep_cells
from core.plots.timesteps import X_LABEL

COLUMNS = 2


@dataclass(frozen=True)
class Panel:
    """One arm's map.

    Attributes:
        name: Above it.
        timesteps: Ascending, one a column.
        rows: Ascending positions on the upright axis, one a row.
        values: (rows, timesteps); NaN shows the background.
    """

    name: str
    timesteps: np.ndarray
    rows: np.ndarray
    values: np.ndarray


def plot_heat(
    panels: Sequence[Panel], y_label: str, scale_label: str, *, diverging: bool, height: float = 1.3
) -> Figure:
    """All panels in one colour scale.

    Args:
        panels: At least one, each with a finite value.
        y_label: Of the upright axis, with its unit.
        scale_label: Of the colours, with their unit.
        diverging: Colours apart on both sides of 0, for values whose sign says something; else from low to high.
        height: Of a panel, inches; a single row is as tall as the text of the scale needs.
    """
    tall = max(height, 1.85) if len(panels) <= COLUMNS else height
    room = {"right": 0.85, "top": 0.26, "gap": 0.3}
    figure, axes = new_panels(len(panels), X_LABEL, y_label, columns=COLUMNS, height=tall, **room)
    norm = _norm(panels, diverging=diverging)
    scale = ScalarMappable(norm, "RdBu_r" if diverging else "viridis")
    for place, panel in zip(axes, panels, strict=True):
        _draw(place, panel, norm, scale.cmap)
        name_panel(place, panel.name)
    _share(axes, panels)
    add_scale(figure, axes, scale, scale_label)
    return figure


def _norm(panels: Sequence[Panel], *, diverging: bool) -> Normalize:
    low = min(float(np.nanmin(panel.values)) for panel in panels)
    high = max(float(np.nanmax(panel.values)) for panel in panels)
    most = max(abs(low), abs(high), 1e-9)
    return Normalize(-most, most) if diverging else Normalize(low, high if high > low else low + 1e-9)


def _draw(axes: Axes, panel: Panel, norm: Normalize, colours: Colormap) -> None:
    (x, columns), (y, rows) = cells(panel.timesteps), cells(panel.rows)
    values = np.full((len(y) - 1, len(x) - 1), np.nan)
    values[np.ix_(rows, columns)] = panel.values
    axes.grid(visible=False)
    mesh = axes.pcolormesh(x, y, np.ma.masked_invalid(values), cmap=colours, norm=norm, rasterized=True)
    centres = ((panel.timesteps, columns), (panel.rows, rows))
    keep_cells(mesh, *(dict(zip(at.tolist(), places.tolist(), strict=True)) for at, places in centres))


def _share(axes: Sequence[Axes], panels: Sequence[Panel]) -> None:
    """The same range in all panels, noise on the left."""
    x = np.concatenate([cells(panel.timesteps)[0] for panel in panels])
    y = np.concatenate([cells(panel.rows)[0] for panel in panels])
    for place in axes:
        place.set_xlim(x.max(), x.min())
        place.set_ylim(y.min(), y.max())
        place.tick_params(labelsize=FONT - 1.5)


def cells(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of cells around ascending centres, and the cell of each.

    A cell is at most as wide as the usual distance of two centres: where a measurement is missing stays a gap.
    """
    half = float(np.median(np.diff(centres))) / 2 if len(centres) > 1 else 0.5
    edges, places = [centres[0] - half], []
    for index, centre in enumerate(centres):
        if index and centre - centres[index - 1] > 2.5 * half:
            edges.append(centre - half)
        places.append(len(edges) - 1)
        following = centres[index + 1] - centre if index + 1 < len(centres) else 2 * half
        edges.append(centre + (half if following > 2.5 * half else following / 2))
    return np.array(edges), np.array(places)
