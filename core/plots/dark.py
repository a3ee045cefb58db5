"""A drawn figure in its dark colours, for the length of a ``with`` block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure

from core.plots.palette import DARK

_PROPERTIES = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


@contextmanager
def dark_colours(figure: Figure) -> Iterator[None]:
    """Every colour of the palette is its dark twin inside, and itself again afterwards; colour maps stay."""
    figure.draw_without_rendering()  # ticks are made while drawing
    undo: list[Callable[[], object]] = []
    for artist in figure.findobj():
        if isinstance(artist, ScalarMappable) and artist.get_array() is not None:
            continue
        for name in _PROPERTIES:
            undo += _recolour(artist, name)
    try:
        yield
    finally:
        for restore in reversed(undo):
            restore()


def _recolour(artist: Any, name: str) -> list[Callable[[], object]]:
    get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
    if get is None or put is None:
        return []
    before = get()
    if isinstance(before, str) and before in {"none", "auto", "None"}:
        return []
    colours = to_rgba_array(before)
    if len(colours) != 1 or to_hex(colours[0]) not in DARK:
        return []
    put(DARK[to_hex(colours[0])])
    return [partial(put, before)]
