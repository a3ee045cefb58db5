"""The one place for the size, colours and output formats of plots.

Plots are drawn in the light palette, with colours that nothing else uses. In SVG for the page each of them becomes a
CSS variable with that colour as its fallback, so one drawing follows the theme of the page; a PNG is saved as drawn.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1d2126"
SUBDUED = "#596270"
GRID = "#dfe3e9"
BASE = "#7b8088"
ARM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8c6d00", "#4b5a8f")
"""Okabe-Ito first (blue, vermillion, green). Readable on white; the page's style has a twin of each for dark."""

CSS_VARIABLES = {INK: "plot-ink", SUBDUED: "plot-subdued", GRID: "plot-grid", BASE: "plot-base"} | {
    colour: f"arm-{number}" for number, colour in enumerate(ARM_COLOURS, start=1)
}
SIZE = (4.6, 2.75)
"""Inches. One size for all plots of records, so that plots side by side share their axes' positions."""
SMALL = (3.4, 2.1)
"""Inches, for the previews beside the fields."""

FONT = 9.5
_DASHES: tuple[tuple[float, ...] | None, ...] = (None, (5, 2), (1.2, 1.6), (7, 2, 1.2, 2), (3, 1.2), (9, 3))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_KNOWN_ARMS = {"teacher-forced": 0, "rollout": 1, "too-long": 2}
_SAVING = threading.Lock()


@dataclass(frozen=True)
class ArmStyle:
    """How one arm looks in every plot: colour, dash and marker, so that colour is never the only difference."""

    colour: str
    dash: tuple[float, ...] | None
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Keyword arguments for ``Axes.plot``."""
        return {"color": self.colour, "linestyle": "-" if self.dash is None else (0, self.dash)}


BASE_STYLE = ArmStyle(BASE, (1.2, 1.6), "x")


def arm_styles(labels: list[str]) -> dict[str, ArmStyle]:
    """A style per label: the arms of an A/B keep theirs everywhere, others take the next free one in order."""
    taken = {_KNOWN_ARMS[label] for label in labels if label in _KNOWN_ARMS}
    free = [index for index in range(len(ARM_COLOURS)) if index not in taken]
    styles = {}
    for label in labels:
        index = (
            _KNOWN_ARMS[label] if label in _KNOWN_ARMS else (free.pop(0) if free else len(styles) % len(ARM_COLOURS))
        )
        styles[label] = ArmStyle(ARM_COLOURS[index], _DASHES[index], _MARKERS[index])
    return styles


def new_axes(x_label: str, y_label: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """An empty plot in the house style; axis labels carry their units."""
    width, height = size
    figure = Figure(figsize=size, dpi=100, facecolor="none")
    left, bottom, top = 0.78 / width, 0.5 / height, 0.38 / height
    axes = figure.add_axes((left, bottom, 1 - left - 0.1 / width, 1 - bottom - top), facecolor="none")
    style_axes(axes, x_label, y_label)
    return figure, axes


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
    """One row above the axes, where it hides no data; nothing when nothing is labelled."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=min(len(labels), 4),
            frameon=False,
            fontsize=FONT - 0.5,
            labelcolor=INK,
            handlelength=2.2,
            columnspacing=1.4,
            borderaxespad=0.2,
        )


def say_empty(axes: Axes, text: str = "No records yet") -> None:
    """What a plot without data shows in place of an empty frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("")
    axes.set_ylabel("")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=SUBDUED, fontsize=FONT + 1)


def describe(figure: Figure, summary: str) -> Figure:
    """Keep the summary in words with the figure: the caption and the text for people who don't see the picture."""
    figure.set_label(summary)
    return figure


def summary_of(figure: Figure) -> str:
    """The summary given to ``describe``."""
    return str(figure.get_label())


def render_svg(figure: Figure, title: str) -> str:
    """Inline SVG that follows the theme of the page it stands in, its ids its own."""
    buffer = io.StringIO()
    with _SAVING, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plots"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
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


def _own_ids(text: str) -> str:
    """Drop the ids that nothing refers to; prefix the others, since many plots share one page."""
    prefix = "p" + hashlib.sha256(text.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: f' id="{prefix}{match[1]}"' if match[1] in used else "", text)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}", text)


def save(figure: Figure, path: Path, title: str = "") -> Path:
    """Write a PNG (on white) or, by the suffix, an SVG with plain colours."""
    if title:
        figure.axes[0].set_title(title, loc="right", fontsize=FONT + 1, color=INK)
    with _SAVING, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "plots"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=160, facecolor="white", metadata=metadata)
    return path
