"""What the tabs share while the page is built: inputs by option, components by name, and what is kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from app.workbench import Workbench
from core.config.spec import option_specs

QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 1,
    "trigger_mode": "always_last",
}
"""Events that only read: no spinner, not listed. None is skipped because one is under way (Gradio's default), and they
are answered in the order in which they were asked, so that what stays on the page is the answer to the last."""
ACT: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 4, "trigger_mode": "once"}
"""Events behind buttons."""

Rendered = tuple[str, Sequence[Any] | None]


@dataclass(frozen=True)
class Live:
    """A part of the page that follows the files.

    Attributes:
        name: Unique.
        tab: Only kept up to date while this tab is shown; empty for always.
        inputs: Components whose values ``render`` takes.
        outputs: Components that it fills.
        render: Takes the signature of what is shown and the inputs' values; returns the new signature and the outputs'
            values, None for them when nothing changed.
        fold: Only kept up to date while the fold of this ``elem_id`` is open; empty for always.
    """

    name: str
    tab: str
    inputs: Sequence[Component]
    outputs: Sequence[Any]
    render: Callable[..., Rendered]
    fold: str = ""


@dataclass
class Parts:
    """Filled while the tabs are built, read when their events are wired.

    Attributes:
        workbench: What the page can do.
        inputs: The input of each option, by flat name.
        slots: Components that other tabs refer to, by ``tab.name``.
        lives: What the timer keeps up to date.
        chains: Events that other tabs append to theirs, by name: keyword arguments of ``then``.
    """

    workbench: Workbench
    inputs: dict[str, Any] = field(default_factory=dict)
    slots: dict[str, Any] = field(default_factory=dict)
    lives: list[Live] = field(default_factory=list)
    chains: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """A component by its name."""
        return self.slots[name]

    def __setitem__(self, name: str, component: Any) -> None:
        """Keep a component under a name."""
        self.slots[name] = component

    @property
    def options(self) -> list[Any]:
        """All options' inputs, in the order of the options whatever tab they stand on."""
        return [self.inputs[name] for name in option_specs()]


def go_to(tab: str) -> gr.Tabs:
    """The tab bar with another tab selected."""
    return gr.Tabs(selected=tab)


def text_output(name: str, **more: Any) -> gr.HTML:
    """An area of generated HTML."""
    return gr.HTML(value="", elem_id=name, **more)
