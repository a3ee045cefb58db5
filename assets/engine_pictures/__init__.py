"""The pictures of docs/engine.md, one module an idea, each drawn by the engine's own functions.

A picture's summary is its caption on the page: every number there is worked out where the picture is.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from matplotlib.figure import Figure

_DRAWN_BY: Mapping[str, str] = {
    "rollout": "rollout",
    "together": "together",
    "targets": "targets",
    "visited": "visited",
    "level": "level",
    "strides": "strides",
    "reflexflow": "reflexflow",
}

PICTURES: tuple[str, ...] = tuple(_DRAWN_BY)
"""Names, in the page's order; a picture's file is ``engine-NAME.png``."""


def draw(name: str) -> Figure:
    """Draws one of PICTURES; its summary is ``core.plots.figure.summary_of``."""
    function: Callable[[], Figure] = import_module(f"{__name__}.{_DRAWN_BY[name]}").draw
    return function()
