"""Panels beside each other in the plots' house style, as wide as a page of text."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.plots.figure import FONT, style_axes
from core.plots.palette import INK

WIDTH = 8.0
"""Inches: 100 pixels an inch where a page shows a picture 800 pixels wide."""


def panels(
    titles: Sequence[str], labels: Sequence[tuple[str, str]], *, height: float = 3.3, widths: Sequence[float] = (1, 1)
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel a title.

    Args:
        titles: what each panel shows.
        labels: of each panel's two axes.
        height: inches.
        widths: of the panels, in proportion.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=100, facecolor="none")
    left, right, gap = 0.72, 0.24, 0.8
    room = WIDTH - left - right - gap * (len(titles) - 1)
    found, start = [], left
    for title, names, share in zip(titles, labels, widths[: len(titles)], strict=True):
        width = room * share / sum(widths[: len(titles)])
        place = (start / WIDTH, 0.52 / height, width / WIDTH, (height - 0.52 - 0.62) / height)
        found.append(_styled(figure.add_axes(place, facecolor="none"), title, *names))
        start += width + gap
    return figure, found


def _styled(axes: Axes, title: str, x_label: str, y_label: str) -> Axes:
    axes.set_title(title, loc="left", color=INK, fontsize=FONT + 0.5, pad=24)
    style_axes(axes, x_label, y_label)
    return axes


def key(axes: Axes, columns: int = 4) -> None:
    """The legend, in a row over the panel, close enough for half a page."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False, fontsize=FONT - 0.5,
        labelcolor=INK, handlelength=1.7, handletextpad=0.5, columnspacing=1.0, borderaxespad=0.2,
    )  # fmt: skip


def say(axes: Axes, x: float, y: float, text: str, colour: str = INK, ha: str = "left", va: str = "center") -> None:
    """Words in a panel, at a point of its axes."""
    axes.text(x, y, text, color=colour, fontsize=FONT - 0.5, ha=ha, va=va)
