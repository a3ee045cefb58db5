"""What an entry of the plot registry holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        name: Key in the registry and stem of exported files.
        title: Heading over the plot.
        help: One or two sentences on how to read it.
        records: What its series hold: ``steps`` (``StepRecord``), ``drift`` (``DriftRecord``) or ``preview``
            (``Preview``: options that have not been trained with yet).
        module: Module of this package with the function ``draw``.
    """

    name: str
    title: str
    help: str
    records: Literal["steps", "drift", "preview"]
    module: str

    @property
    def draw(self) -> Callable[[Mapping[str, Sequence[Any]]], Figure]:
        """The function that draws it; imports matplotlib on first use."""
        return import_module(f"core.plots.{self.module}").draw
