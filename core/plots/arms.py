"""How the arms look: each of a matched experiment has its own colour, dash and marker in every plot.

A label may carry a training seed (``rollout-s43``) and the title of an experiment (``cats: rollout-s43``): the look is
the arm's. Nothing here imports matplotlib.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.plots.palette import ARM_COLOURS, BASE

KNOWN = ("teacher-forced", "rollout", "too-long", "equal-compute", "input-perturbation", "placebo", "replicate")
"""The arms of matched experiments, in the order of their colours."""

_DASHES: tuple[tuple[float, ...] | None, ...] = (
    None, (5, 2), (1.2, 1.6), (7, 2, 1.2, 2), (3, 1.2), (9, 3), (7, 2, 1.2, 2, 1.2, 2), (3, 3),
)  # fmt: skip
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_SEED = re.compile(r"-s\d+$")


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


@dataclass(frozen=True)
class Group:
    """Runs that differ in their training seed alone.

    Attributes:
        name: Their entry in a legend: a label without its seed.
        style: The arm's.
        labels: Of the runs, in their order.
    """

    name: str
    style: ArmStyle
    labels: tuple[str, ...]


def without_seed(label: str) -> str:
    """``cats: rollout`` of ``cats: rollout-s43``."""
    return _SEED.sub("", label)


def arm_of(label: str) -> str:
    """``rollout`` of ``cats: rollout-s43``; a name that is not an arm's stays whole but for its seed."""
    name = without_seed(label)
    last = name.rsplit(": ", 1)[-1]
    return last if last in KNOWN else name


def arm_styles(labels: Sequence[str]) -> dict[str, ArmStyle]:
    """A style per label: the arms of an experiment keep theirs everywhere, others take the next free one in order."""
    places = {arm: KNOWN.index(arm) for label in labels if (arm := arm_of(label)) in KNOWN}
    free = [place for place in range(len(ARM_COLOURS)) if place not in places.values()]
    for label in labels:
        if arm_of(label) not in places:
            places[arm_of(label)] = free.pop(0) if free else len(places) % len(ARM_COLOURS)
    return {label: _style(places[arm_of(label)]) for label in labels}


def groups(labels: Iterable[str]) -> tuple[Group, ...]:
    """The runs by arm, in the order in which the arms first come.

    The same arm of two experiments is two groups in one colour: the later ones take other markers.
    """
    runs: dict[str, list[str]] = {}
    for label in labels:
        runs.setdefault(without_seed(label), []).append(label)
    styles, seen, made = arm_styles(list(runs)), [], []
    for name, members in runs.items():
        marker = _MARKERS[(_MARKERS.index(styles[name].marker) + seen.count(arm_of(name))) % len(_MARKERS)]
        made.append(Group(name, replace(styles[name], marker=marker), tuple(members)))
        seen.append(arm_of(name))
    return tuple(made)


def _style(place: int) -> ArmStyle:
    return ArmStyle(ARM_COLOURS[place], _DASHES[place], _MARKERS[place])
