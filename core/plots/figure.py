"""The one place for the size, frames and output formats of plots.

In SVG for the page each colour of the palette becomes a CSS variable, so one drawing follows the theme of the page.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import threading
from contextlib import nullcontext
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.plots.dark import dark_colours
from core.plots.palette import CSS_VARIABLES, DARK_PAPER, GRID, INK, PAPER, SUBDUED

SIZE = (4.6, 2.75)
"""Inches. One size for all plots of records, so that plots side by side share their axes' positions."""
SMALL = (3.4, 2.1)
"""Inches, for the previews beside the fields."""

FONT = 9.5
LEFT, RIGHT, BOTTOM, TOP = 0.86, 0.1, 0.5, 0.38
"""Inches around the axes; a legend of one row stands in the upper one."""
_ROW = 0.19
"""Inches of a further row of a legend."""
_SPACING = 1.4
"""Between the columns of a legend, in font sizes."""
_SAVING = threading.Lock()


def new_axes(x_label: str, y_label: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """An empty plot in the house style; axis labels carry their units."""
    width, height = size
    figure = new_figure(size)
    axes = figure.add_axes(
        (LEFT / width, BOTTOM / height, 1 - (LEFT + RIGHT) / width, 1 - (BOTTOM + TOP) / height), facecolor="none"
    )
    style_axes(axes, x_label, y_label)
    return figure, axes


def new_figure(size: tuple[float, float]) -> Figure:
    """A figure without axes, its size in inches."""
    return Figure(figsize=size, dpi=100, facecolor="none")


def style_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Puts axes into the house style; labels carry their units."""
    axes.set_xlabel(x_label, color=SUBDUED, fontsize=FONT)
    axes.set_ylabel(y_label, color=SUBDUED, fontsize=FONT)
    axes.tick_params(which="both", colors=SUBDUED, labelsize=FONT - 0.5, length=0, pad=4)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.margins(x=0.02, y=0.08)


def add_legend(axes: Axes) -> None:
    """Above the axes, where it hides no data; the figure grows by the rows that one does not hold."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    width = figure.get_size_inches()[0]
    columns = _columns(labels, width - 0.1 + _SPACING * (FONT - 0.5) / 72)
    rows = -(-len(labels) // columns)
    one_row = rows == 1 and sum(map(_entry_width, labels)) <= axes.get_position().width * width + RIGHT
    grow(figure, (rows - 1) * _ROW)
    edge = axes.get_position()
    figure.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(edge.x0 - 0.01 if one_row else 0.01, edge.y1),
        ncols=columns,
        frameon=False,
        fontsize=FONT - 0.5,
        labelcolor=INK,
        handlelength=2.2,
        columnspacing=_SPACING,
        borderaxespad=0.2,
    )


def _entry_width(label: str) -> float:
    """Inches, about: handle, gaps and text."""
    return (2.2 + 0.8 + _SPACING + 0.53 * len(label)) * (FONT - 0.5) / 72


def _columns(labels: list[str], width: float) -> int:
    """The most columns that fit; a legend fills them one after another, each as wide as its widest entry."""
    widths = np.array([_entry_width(label) for label in labels])
    fits = [n for n in range(1, len(labels) + 1) if sum(part.max() for part in np.array_split(widths, n)) <= width]
    return max(fits, default=1)


def grow(figure: Figure, inches: float) -> None:
    """Adds room at the top; what is drawn keeps its size."""
    width, height = figure.get_size_inches()
    share = height / (height + inches)
    for axes in figure.axes:
        place = axes.get_position()
        axes.set_position((place.x0, place.y0 * share, place.width, place.height * share))
    figure.set_size_inches(width, height + inches)


def say_empty(axes: Axes, text: str = "No records yet") -> None:
    """What a plot without data shows in place of an empty frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("")
    axes.set_ylabel("")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=SUBDUED, fontsize=FONT + 1)


def empty(text: str) -> Figure:
    """A whole plot without data."""
    figure, axes = new_axes("", "")
    say_empty(axes, text)
    return describe(figure, f"{text}.")


def describe(figure: Figure, summary: str) -> Figure:
    """Keep the summary in words with the figure: the caption and the text for people who don't see the picture."""
    figure.set_label(summary)
    return figure


def summary_of(figure: Figure) -> str:
    """The summary given to ``describe``."""
    return str(figure.get_label())


def render_svg(figure: Figure, title: str) -> str:
    """Inline SVG that follows the theme of the page it stands in, its ids its own."""
    text = _svg(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    for colour, variable in CSS_VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    text = _own_ids(text.replace("xlink:href", "href"))
    label = html.escape(f"{title}. {summary_of(figure)}".strip())
    view_box = re.search(r'viewBox="[^"]*"', text)
    opening = f'<svg role="img" aria-label="{label}" {view_box.group(0) if view_box else ""} xmlns="http://www.w3.org/2000/svg">'
    return opening + text[text.index(">") + 1 :].strip()


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with _SAVING, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plots"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None}, dpi=160)
    return buffer.getvalue()


def _own_ids(text: str) -> str:
    """Drop the ids that nothing refers to; prefix the others, since many plots share one page."""
    prefix = "p" + hashlib.sha256(text.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: f' id="{prefix}{match[1]}"' if match[1] in used else "", text)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}", text)


def save(figure: Figure, path: Path, title: str = "", dark: bool = False) -> Path:
    """Write a PNG or, by the suffix, an SVG with plain colours.

    Args:
        figure: A plot; it is left as it was.
        path: Where to.
        title: Stands above the plot, where given.
        dark: On a dark background, in the dark palette.
    """
    heading = figure.text(0.02, 1.0, title, ha="left", va="bottom", fontsize=FONT + 2, color=INK) if title else None
    settings = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plots"})
    with _SAVING, settings, dark_colours(figure) if dark else nullcontext():
        figure.savefig(
            path,
            dpi=160,
            facecolor=DARK_PAPER if dark else PAPER,
            edgecolor="none",
            bbox_inches="tight",
            pad_inches=0.12,
            metadata={"Date": None} if path.suffix == ".svg" else None,
        )
    if heading is not None:
        heading.remove()
    return path
