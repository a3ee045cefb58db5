"""Colours of plots, in light and dark.

Plots are drawn in the light palette, with colours that nothing else uses. On the page each of them becomes a CSS
variable with that colour as its fallback; in a dark file each becomes its twin.
"""

from __future__ import annotations

INK = "#1d2126"
SUBDUED = "#596270"
GRID = "#dfe3e9"
BASE = "#7b8088"
ARM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#581b9d", "#a512ff", "#773c1e", "#965265", "#5a133c")
"""Okabe-Ito first (blue, vermillion, green); the others as far from these and each other as people with a colour
vision deficiency allow, by a search over their simulation (Machado, Oliveira and Fernandes 2009)."""
DARK_ARM_COLOURS = ("#56b4e9", "#e69f00", "#28e089", "#5168f7", "#fd84ff", "#9b9412", "#c3afb4", "#f4f285")

PAPER = "#ffffff"
DARK_PAPER = "#12161c"
"""What lies behind a plot in a dark file, and on the dark page."""

DARK: dict[str, str] = {INK: "#e8ebef", SUBDUED: "#a3adba", GRID: "#323c49", BASE: "#8f98a5"} | dict(
    zip(ARM_COLOURS, DARK_ARM_COLOURS, strict=True)
)
"""Each colour's twin on a dark background."""

CSS_VARIABLES: dict[str, str] = {INK: "plot-ink", SUBDUED: "plot-subdued", GRID: "plot-grid", BASE: "plot-base"} | {
    colour: f"arm-{number}" for number, colour in enumerate(ARM_COLOURS, start=1)
}
"""The name of each colour in the page's style sheet."""
