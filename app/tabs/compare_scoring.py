"""Scoring from the page: finished samples at other sampling steps and guidance, measured in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.comparison import Chosen, chosen_of
from app.html import checklist, paragraph, progress
from app.parts import ACT, Live, Parts, Rendered, text_output
from core.errors import WorkbenchError
from core.runs.lock import training_in_progress
from core.runs.scoring import scoring_state, start_scoring, stop_scoring


def build(parts: Parts) -> None:
    """Makes the section's components."""
    with gr.Row(elem_classes=["rw-actions"]):
        parts["compare.score"] = gr.Button(
            "Measure sampling sweeps", scale=0, min_width=230, elem_id="score", visible=False
        )
        parts["compare.unscore"] = gr.Button("Stop measuring", scale=0, min_width=160, elem_id="unscore", visible=False)
    parts["compare.scoring"] = text_output("scoring")


def follow(parts: Parts) -> None:
    """Keeps buttons and progress up to date."""
    shown = [parts[f"compare.{name}"] for name in ("scoring", "score", "unscore")]
    picked = [parts["compare.pick"]]
    parts.lives.append(Live("compare.scoring", "compare", picked, shown, lambda known, own: render(parts, known, own)))


def wire(parts: Parts) -> None:
    """Binds the section's events."""
    for name, act in (("score", start), ("unscore", stop)):
        parts[f"compare.{name}"].click(
            lambda picked, act=act: act(parts, picked), parts["compare.pick"], parts["compare.scoring"], **ACT
        ).then(**parts.chains["tick"])


def render(parts: Parts, known: str, picked: list[str] | None) -> Rendered:
    """The buttons that can be pressed, and how far a scoring is or how it ended."""
    path = _path(chosen_of(parts.workbench, picked))
    state = None if path is None else scoring_state(path)
    is_live = state is not None and state.live
    busy = training_in_progress(parts.workbench.workspace.root)
    text = _words(state, busy) if path is not None else ""
    signature = f"{path} {is_live} {busy} {text}"
    if signature == known:
        return known, None
    start_button = gr.Button(visible=path is not None and not is_live, interactive=busy is None)
    return signature, [text, start_button, gr.Button(visible=is_live)]


def _words(state: Any, busy: str | None) -> str:
    if state is not None and state.live:
        words = f"Measuring: {state.status.progress:.0%}".replace("%", " %")
        return f"{paragraph(words)}{progress(state.status.progress, words)}"
    if state is not None and state.label in ("failed", "lost"):
        return checklist([("fail", "Measuring ended early", state.message)])
    if busy is not None:
        return paragraph("Something is in progress in this workspace: measuring waits until it has ended.")
    return paragraph("Takes up to a minute a finished training of the demo; what is there already is kept.")


def start(parts: Parts, picked: list[str] | None) -> str:
    """Starts it, or says why not."""
    path = _path(chosen_of(parts.workbench, picked))
    if path is None:
        return checklist([("fail", "Not started", "Choose one experiment or one run.")])
    try:
        start_scoring(parts.workbench.workspace, path)
    except WorkbenchError as error:
        return checklist([("fail", "Not started", str(error))])
    return paragraph("Started: it loads the base model first.")


def stop(parts: Parts, picked: list[str] | None) -> str:
    """Asks it to stop; what was measured stays."""
    path = _path(chosen_of(parts.workbench, picked))
    try:
        if path is not None:
            stop_scoring(path)
    except WorkbenchError as error:
        return checklist([("fail", "Not stopped", str(error))])
    return paragraph("Asked to stop: it ends after the present sampling step.")


def _path(chosen: Chosen) -> Path | None:
    """The one experiment or the one run that is chosen."""
    if chosen.experiment is not None:
        return chosen.experiment.path
    return chosen.arms[0].folder.path if len(chosen.arms) == 1 else None
