"""The tabs of the page, in the order in which people work."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from app.parts import Parts
from app.tabs import compare, configure, data, export, home, inspect, launch, monitor


@dataclass(frozen=True)
class Tab:
    """One tab.

    Attributes:
        name: Its id.
        title: What its button says.
        module: Has ``build(parts)``, which makes its components, ``wire(parts)``, which binds their events, and, where
            other tabs append to some of these, ``share(parts)``, which names them.
    """

    name: str
    title: str
    module: ModuleType

    def share(self, parts: Parts) -> None:
        """Names the events that other tabs use too."""
        if hasattr(self.module, "share"):
            self.module.share(parts)


TABS: tuple[Tab, ...] = (
    Tab("home", "Home", home),
    Tab("data", "Data", data),
    Tab("configure", "Configure", configure),
    Tab("launch", "Launch", launch),
    Tab("monitor", "Monitor", monitor),
    Tab("compare", "Compare", compare),
    Tab("inspect", "Inspect", inspect),
    Tab("export", "Export", export),
)
