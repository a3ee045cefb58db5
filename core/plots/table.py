"""The numbers of a plot as tables, read off the drawing itself: what is drawn is what the table says.

Curves, bars and areas count by their labels. One that the legend leaves out is named with an underscore before the
name; what has no name is left out here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from core.plots.panels import SCALE

ROWS = 50
"""The most rows of a table; a longer curve is read off at places evenly spread."""
COLUMNS = 12
"""The most columns of a heat map's table."""
NAMELESS = re.compile(r"_child\d+|_container\d+|_nolegend_")


@dataclass(frozen=True)
class Table:
    """The numbers of one panel.

    Attributes:
        caption: What the numbers are, with their unit.
        head: Over the columns; over the first what the rows are, with its unit.
        rows: Each begins with its place on the axis, or with its name.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Column:
    """What was drawn under one name: values over places of the axis; without places, one value for all."""

    name: str
    places: np.ndarray | None
    values: np.ndarray


def tables_of(figure: Figure) -> list[Table]:
    """One table a panel that holds data."""
    scales = [axes for axes in figure.axes if axes.get_label() == SCALE]
    panels = [axes for axes in figure.axes if axes not in scales and axes.has_data()]
    of_rows = next((axes.get_xlabel() for axes in reversed(panels) if axes.get_xlabel()), "")
    made = []
    for axes in panels:
        mesh = next((found for found in axes.collections if isinstance(found, QuadMesh)), None)
        if mesh is not None:
            upright = next(panel.get_ylabel() for panel in panels if panel.get_ylabel())
            made.append(_heat_table(mesh, axes.get_title(loc="left"), upright, of_rows, scales[0].get_ylabel()))
        elif axes.get_ylabel():
            made.append(_table(_columns(axes), " ".join(axes.get_ylabel().split()), of_rows))
        else:  # names stand on the upright axis
            names = [label.get_text() for label in axes.get_yticklabels()]
            made.append(_named_table(_columns(axes, across=True), axes.get_title(loc="left"), names, of_rows))
    return [table for table in made if table is not None]


def keep_cells(mesh: QuadMesh, columns: dict[float, int], rows: dict[float, int]) -> None:
    """Keeps with a heat map which cell stands for which centre: edges do not tell where cells are of unequal width."""
    mesh.set_label(json.dumps([list(columns.items()), list(rows.items())]))


def digits(value: float) -> str:
    """A whole number as it is, any other with four digits; empty where there is none."""
    if not np.isfinite(value):
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def _columns(axes: Axes, *, across: bool = False) -> list[Column]:
    """What carries a name, in the order of drawing; ``across``: the places are on the upright axis."""
    found = []
    for bars in axes.containers:
        if isinstance(bars, BarContainer) and (name := _name(str(bars.get_label()))):
            boxes = [bar.get_bbox() for bar in bars]
            middles = [(box.y0 + box.y1 if across else box.x0 + box.x1) / 2 for box in boxes]
            ends = [box.x1 if across else box.y1 for box in boxes]
            at = np.round(middles)  # bars of one place stand beside each other
            found.append(Column(name, at, np.array(ends, dtype=float)))
    for area in axes.patches:
        if isinstance(area, StepPatch) and (name := _name(str(area.get_label()))):
            values, edges, _ = area.get_data()
            found.append(Column(name, (edges[:-1] + edges[1:]) / 2, np.asarray(values, dtype=float)))
    for line in axes.lines:
        if not (name := _name(str(line.get_label()))):
            continue
        x, y = (np.asarray(part, dtype=float) for part in line.get_data())
        is_level = line.get_transform() != axes.transData
        if is_level and not np.ptp(y):
            found.append(Column(name, None, y[:1]))
        elif not is_level and len(x):
            found.append(Column(name, y, x) if across else Column(name, x, y))
    return found


def _name(label: str) -> str:
    return "" if NAMELESS.fullmatch(label) else label.lstrip("_")


def _table(columns: Sequence[Column], caption: str, of_rows: str) -> Table | None:
    placed = [column.places for column in columns if column.places is not None]
    if not placed:
        return None
    places = reduce(np.union1d, placed)
    whole = len(places)
    if whole > ROWS:
        common = reduce(np.intersect1d, placed)
        places = _spread(common if len(common) >= ROWS else places, ROWS)
        caption = f"{caption}, at {len(places)} of {whole} places"
    values = [_read_off(column, places, exact=whole <= ROWS) for column in columns]
    rows = tuple(tuple(map(digits, row)) for row in zip(places, *values, strict=True))
    return Table(caption, (of_rows, *(column.name for column in columns)), rows)


def _read_off(column: Column, places: np.ndarray, *, exact: bool) -> np.ndarray:
    """The values at these places; between two points of a long curve, where the drawn line lies."""
    if column.places is None:
        return np.full(len(places), column.values[0])
    known, order = np.unique(column.places, return_index=True)
    values = column.values[order]
    if not exact:
        return np.interp(places, known, values, left=np.nan, right=np.nan)
    at = np.minimum(np.searchsorted(known, places), len(known) - 1)
    return np.where(known[at] == places, values[at], np.nan)


def _named_table(columns: Sequence[Column], title: str, names: Sequence[str], unit: str) -> Table | None:
    """A row a name; a cell may hold several numbers."""
    if not columns:
        return None
    heads = dict.fromkeys(column.name for column in columns)
    rows = []
    for place, name in enumerate(names):
        cells = []
        for head in heads:
            own = [column for column in columns if column.name == head and column.places is not None]
            points = [value for column in own for value in column.values[column.places == place]]
            cells.append(", ".join(map(digits, points)))
        rows.append((name, *cells))
    caption = f"{title}: {unit}" if title else unit
    return Table(caption, ("arm", *heads), tuple(rows))


def _heat_table(mesh: QuadMesh, title: str, upright: str, across: str, scale: str) -> Table:
    columns, rows = (np.array(known) for known in json.loads(str(mesh.get_label())))
    columns, rows = _spread(columns[::-1], COLUMNS), _spread(rows, ROWS)  # as drawn: noise on the left
    cells = np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan)
    lines = [(digits(at), *map(digits, cells[int(row), columns[:, 1].astype(int)])) for at, row in rows]
    name = across.split(" (")[0]
    return Table(f"{title}: {scale}", (upright, *(f"{name} {digits(at)}" for at, _ in columns)), tuple(lines))


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the values, evenly, both ends among them."""
    if len(values) <= most:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
