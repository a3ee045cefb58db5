"""What an entry of the plot registry holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Records = Literal["steps", "drift", "scores", "comparisons", "preview"]


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        name: Key in the registry and stem of exported files.
        title: Heading over the plot.
        help: One or two sentences on how to read it.
        records: What its series hold: ``steps`` (``StepRecord``), ``drift`` (``DriftRecord``), ``scores``
            (``scored.ScoredRun``), ``comparisons`` (``scored.Compared``) or ``preview`` (``Preview``: options that
            have not been trained with yet).
        module: Module of this package with the function ``draw``.
    """

    name: str
    title: str
    help: str
    records: Records
    module: str

    @property
    def draw(self) -> Callable[..., Figure]:
        """The function that draws it, from a mapping of a label to its records; imports matplotlib on first use.

        The frontier plots also take ``score`` and the sweep plots ``scores``: names of the scores to show.
        """
        return import_module(f"core.plots.{self.module}").draw
