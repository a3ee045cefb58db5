"""Which run or experiment a page looks at, as it stands in an address. Never trusted: parsed, then looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.runs.workspace import is_slug

Kind = Literal["runs", "experiments"]


@dataclass(frozen=True)
class Selection:
    """One run or one experiment of the workspace.

    Attributes:
        kind: Which of the workspace's folders it lies in.
        name: Its folder's name.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        """As it stands in an address, for example ``experiments/demo``."""
        return f"{self.kind}/{self.name}"

    @property
    def is_experiment(self) -> bool:
        """Whether it has arms."""
        return self.kind == "experiments"


def parse_selection(text: object) -> Selection | None:
    """The selection that a text names, or None for anything else; whether it exists is not asked."""
    if not isinstance(text, str):
        return None
    kind, _, name = text.partition("/")
    if not is_slug(name):
        return None
    if kind == "runs":
        return Selection("runs", name)
    return Selection("experiments", name) if kind == "experiments" else None
