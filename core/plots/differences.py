"""Differences of arms from the reference, seed by seed, a panel a score since their units differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.plots.arms import ArmStyle, arm_of, arm_styles
from core.plots.figure import FONT, describe, empty
from core.plots.lines import number
from core.plots.palette import GRID, SUBDUED
from core.plots.panels import name_panel, new_panels
from core.plots.scored import Compared
from core.runs.scores import SCORES

EMPTY = "Nothing to compare yet: both arms need a score with the same training seed"
LEFT = 1.28
"""Inches for the names of the arms."""


def draw(series: Mapping[str, Sequence[Compared]]) -> Figure:
    """A dot a seed, a diamond for their mean, a line for its interval where one is given."""
    found = [(label, one) for label, many in series.items() for one in many if _values(one).size]
    scores = list(dict.fromkeys(one.score for _, one in found))
    if not found:
        return empty(EMPTY)
    labels = list(dict.fromkeys(label for label, _ in found))
    references = dict.fromkeys(one.reference for _, one in found)
    styles = arm_styles([*references, *series])  # the reference has a style of its own in every other plot
    words = f"difference from {' or '.join(references)}"
    height = 0.17 * len(labels) + 0.12
    figure, panels = new_panels(len(scores), words, "", columns=1, height=height, left=LEFT, top=0.26, gap=0.46)
    summary = []
    for axes, score in zip(panels, scores, strict=True):
        named = {label: one for label, one in found if one.score == score}
        _draw(axes, labels, named, styles)
        name_panel(axes, f"{_label(score)} ({_unit(score)})")
        said = "; ".join(f"{label} {_words(one)}" for label, one in named.items())
        summary.append(f"{_label(score)} ({_unit(score)}): {said}")
    return describe(figure, ". ".join(summary) + ".")


def _draw(axes: Axes, labels: list[str], named: Mapping[str, Compared], styles: Mapping[str, ArmStyle]) -> None:
    axes.axvline(0, color=SUBDUED, linewidth=0.9)
    for label, one in named.items():
        row, style = labels.index(label), styles[label]
        values = _values(one)
        if one.interval is not None:
            axes.plot(one.interval, [row, row], color=style.colour, linewidth=1.4, label="_interval")
        axes.plot(values, np.full(len(values), row), marker="o", markersize=4.2, alpha=0.5, markeredgewidth=0,
                  linestyle="none", color=style.colour, label="_each seed")  # fmt: skip
        axes.plot([one.mean], [row], marker="D", markersize=6, linestyle="none", color=style.colour, label="_mean")
    axes.set_yticks(range(len(labels)), [arm_of(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.margins(x=0.06)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.tick_params(labelbottom=True, labelsize=FONT - 1)


def _label(score: str) -> str:
    return SCORES[score].label if score in SCORES else score


def _unit(score: str) -> str:
    return SCORES[score].unit if score in SCORES else "its own unit"


def _values(one: Compared) -> np.ndarray:
    values = np.array(one.differences, dtype=float)
    return values[np.isfinite(values)]


def _words(one: Compared) -> str:
    count = len(_values(one))
    seeds = f"{count} {'seed' if count == 1 else 'seeds'}"
    interval = f", interval {number(one.interval[0])} to {number(one.interval[1])}" if one.interval else ""
    return f"{number(one.mean)} over {seeds}{interval}"
