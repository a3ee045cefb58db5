"""Figures of several small plots under one another and side by side, and colour scales beside them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.figure import BOTTOM, FONT, LEFT, RIGHT, SIZE, TOP, new_figure, style_axes
from core.plots.palette import GRID, INK, SUBDUED

GAP = 0.16
"""Inches between two columns that share their upright axis."""
SCALE = "scale"
"""Label of the axes that hold a colour scale and no data."""


def new_panels(
    count: int,
    x_label: str,
    y_labels: str | Sequence[str],
    *,
    columns: int = 2,
    height: float = 1.15,
    left: float = LEFT,
    right: float = RIGHT,
    top: float = TOP,
    gap: float = 0.14,
) -> tuple[Figure, list[Axes]]:
    """Panels row by row; only the outer ones carry axis labels.

    Args:
        count: Of panels.
        x_label: Of all, with its unit.
        y_labels: Of all, or one a panel, with units.
        columns: Side by side.
        height: Of a panel, inches.
        left: Inches beside the panels.
        right: The same on the other side.
        top: Inches above them.
        gap: Inches between two rows.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    total = top + rows * height + (rows - 1) * gap + BOTTOM
    width = (SIZE[0] - left - right - (columns - 1) * GAP) / columns
    figure = new_figure((SIZE[0], total))
    made = []
    for place in range(count):
        row, column = divmod(place, columns)
        x = left + column * (width + GAP)
        y = total - top - (row + 1) * height - row * gap
        axes = figure.add_axes((x / SIZE[0], y / total, width / SIZE[0], height / total), facecolor="none")
        style_axes(axes, x_label, y_labels if isinstance(y_labels, str) else y_labels[place])
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        if place + columns < count:
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
        if column:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
        made.append(axes)
    return figure, made


def name_panel(axes: Axes, name: str) -> None:
    """What a panel shows, above it."""
    axes.set_title(name, loc="left", fontsize=FONT - 0.5, color=INK, pad=3)


def add_scale(figure: Figure, panels: Sequence[Axes], mesh: ScalarMappable, label: str) -> None:
    """The colour scale on the right of all panels; a map of fixed colours, its text in the theme's."""
    width, height = figure.get_size_inches()
    last, first = panels[-1].get_position(), panels[0].get_position()
    tall = min(first.y1 - last.y0, 2.2 / height)
    right = max(axes.get_position().x1 for axes in panels)
    axes = figure.add_axes((right + 0.12 / width, first.y1 - tall, 0.11 / width, tall), label=SCALE)
    bar = figure.colorbar(mesh, cax=axes)
    for solid in axes.collections:
        solid.set_rasterized(True)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(nbins=5)
    bar.update_ticks()
    axes.tick_params(colors=SUBDUED, labelsize=FONT - 1, length=0, pad=3)
    axes.set_ylabel(label, color=SUBDUED, fontsize=FONT - 0.5)
    for spine in axes.spines.values():
        spine.set_color(GRID)
