"""Inspect: where a base model, a training's LoRA or any LoRA file leaves the true path, point by point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.film import film_html, pairs_of
from app.form import try_config
from app.html import checklist, empty
from app.inspected import (
    audit_part,
    free_part,
    samples_part,
    short_part,
    state_html,
    summary_html,
    training_part,
)
from app.inspection import begin, find, inspectable, keep_upload, listed, usual_seconds
from app.journals import file_signature
from app.parts import ACT, QUIET, Live, Parts, Rendered, text_output
from app.serve import publish_inspection
from app.view import duration
from core.errors import ConfigError, DataError, WorkbenchError
from core.runs.files import is_missing
from core.runs.folder import RunFolder
from core.runs.inspections import FILE_NAME, inspection_state, read_inspection, stop_inspection
from core.runs.lock import training_in_progress

KINDS = [("A finished training", "run"), ("The base model", "base"), ("A LoRA file", "file")]
RESULTS = ("summary", "audit", "training", "short", "free", "samples")
CHOSEN = ("target", "key", "number")
"""The training, the inspection and the pair that are chosen. Plain texts: a list that another look has just replaced
would refuse a value that it does not hold."""
NOTHING = (
    "Nothing inspected yet. The base model of the settings can be inspected before any training, and any LoRA file "
    "without one."
)
INTRODUCTION = (
    "See where a model leaves the true path when it walks by itself: the base model, a LoRA that was trained here, or "
    "any LoRA file. Nothing is trained. Base model, pictures and prompts are the training's own; for a file or a base "
    "model they are those of the settings. The embedded base takes a minute or two on two cores."
)


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    for slot in CHOSEN:
        parts[f"inspect.{slot}"] = gr.Textbox(value="", visible=False, label=slot)
    with gr.Row(elem_classes=["rw-columns"]):
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## What to inspect", elem_classes=["rw-heading"])
            gr.Markdown(INTRODUCTION, elem_classes=["rw-note"])
            _build_choice(parts)
            parts["inspect.message"] = text_output("inspect-message")
            parts["inspect.state"] = text_output("inspect-state")
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## What was found", elem_classes=["rw-heading"])
            parts["inspect.shown"] = gr.Dropdown(
                [], value=None, label="Show", info="Inspections of this workspace, newest first.", filterable=False,
                interactive=True, elem_id="inspect-shown", elem_classes=["rw-option"],
            )  # fmt: skip
            parts["inspect.summary"] = text_output("inspect-summary")
    parts["inspect.audit"] = text_output("inspect-audit")
    with gr.Column(visible=False) as parts["inspect.films"]:
        gr.Markdown("## Trajectory: what it sees on the true path and on its own", elem_classes=["rw-heading"])
        with gr.Row(elem_classes=["rw-fields"]):
            parts["inspect.pair"] = gr.Dropdown(
                [], value=None, label="Pair of picture and noise", filterable=False, interactive=True,
                elem_id="inspect-pair",
            )  # fmt: skip
        parts["inspect.film"] = text_output("inspect-film")
    for slot in RESULTS[2:]:
        parts[f"inspect.{slot}"] = text_output(f"inspect-{slot}")
    _register(parts)


def _build_choice(parts: Parts) -> None:
    parts["inspect.kind"] = gr.Radio(KINDS, value="run", label="What", interactive=True, elem_id="inspect-kind")
    with gr.Row(elem_classes=["rw-fields"]):
        parts["inspect.run"] = gr.Dropdown(
            [], value=None, label="Training", info="Runs and arms that have a LoRA.", filterable=False,
            interactive=True, elem_id="inspect-run", elem_classes=["rw-option"],
        )  # fmt: skip
        parts["inspect.path"] = gr.Textbox(
            label="LoRA file", info="Its path, .safetensors only: a pickle can run code when it is opened.",
            placeholder="/home/me/loras/my-cat.safetensors", max_lines=1, visible=False, interactive=True,
            elem_id="inspect-path", elem_classes=["rw-option"],
        )  # fmt: skip
    with gr.Row(elem_classes=["rw-actions"]):
        parts["inspect.start"] = gr.Button(
            "Inspect", variant="primary", scale=0, min_width=250, elem_id="inspect-start"
        )
        parts["inspect.upload"] = gr.UploadButton(
            "Upload a LoRA",
            file_types=[".safetensors"],
            visible=False,
            scale=0,
            min_width=150,
            elem_id="inspect-upload",
        )
        parts["inspect.stop"] = gr.Button(
            "Stop", variant="stop", visible=False, scale=0, min_width=90, elem_id="inspect-stop"
        )


def _register(parts: Parts) -> None:
    def live(name: str, inputs: list[str], outputs: list[str], render: Any) -> None:
        given, filled = ([parts[f"inspect.{slot}"] for slot in slots] for slots in (inputs, outputs))
        parts.lives.append(
            Live(f"inspect.{name}", "inspect", given, filled, lambda known, *values: render(parts, known, *values))
        )

    live("choices", ["target", "key"], ["run", "shown", "target", "key"], render_choices)
    live("state", ["key", "kind"], ["state", "stop", "start"], render_state)
    live("result", ["key", "number"], [*RESULTS, "films", "pair", "film"], render_result)


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    kind, tick = parts["inspect.kind"], parts.chains["tick"]
    message, (target, key, number) = parts["inspect.message"], [parts[f"inspect.{slot}"] for slot in CHOSEN]
    own = [parts[f"inspect.{slot}"] for slot in ("run", "path", "upload")]
    kind.input(show_kind, kind, [*own, message], **QUIET).then(**tick)
    parts["inspect.run"].input(lambda name: name, parts["inspect.run"], target, **QUIET)
    parts["inspect.shown"].input(lambda name: name, parts["inspect.shown"], key, **QUIET).then(**tick)
    parts["inspect.pair"].input(
        lambda key, pair: (str(pair), show_film(parts, key, str(pair))),
        [key, parts["inspect.pair"]],
        [number, parts["inspect.film"]],
        **QUIET,
    )
    parts["inspect.start"].click(
        lambda what, run, path, *raw: start(parts, what, run, path, raw),
        [kind, target, parts["inspect.path"], *parts.options],
        [key, message],
        **ACT,
    ).then(**tick)
    parts["inspect.upload"].upload(
        lambda path: upload(parts, path), parts["inspect.upload"], [parts["inspect.path"], message], **ACT
    )
    parts["inspect.stop"].click(lambda key: stop(parts, key), key, message, **ACT).then(**tick)


def show_kind(what: str) -> list[Any]:
    """The inputs that belong to a kind."""
    return [gr.Dropdown(visible=what == "run"), gr.Textbox(visible=what == "file"),
            gr.UploadButton(visible=what == "file"), ""]  # fmt: skip


def start(parts: Parts, what: str, run: str | None, path: str | None, raw: Any) -> list[Any]:
    """Starts an inspection and shows it, or says why not."""
    config, problems = try_config(raw, parts.workbench.paths)
    if config is None and what != "run":
        return [gr.skip(), checklist([("fail", "Settings", problem.message) for problem in problems])]
    try:
        key = begin(parts.workbench, what, run, path, config)
    except WorkbenchError as error:
        return [gr.skip(), _told("Inspect", error)]
    return [key, ""]


def upload(parts: Parts, path: str | None) -> tuple[Any, Any]:
    """Copies a LoRA into the workspace and puts its path into the field."""
    if path is None:
        return gr.skip(), gr.skip()
    try:
        kept = keep_upload(parts.workbench.workspace, Path(path))
    except WorkbenchError as error:
        return gr.skip(), _told("Upload", error)
    return str(kept), checklist([("pass", "Uploaded", f"The file is {kept}.")])


def stop(parts: Parts, key: str) -> str:
    """Asks an inspection to stop; its state tells when it has."""
    folder = find(parts.workbench.workspace, key)
    if folder is None:
        return checklist([("fail", "Stop", "This inspection is no longer there; reload the page.")])
    try:
        stop_inspection(folder)
    except WorkbenchError as error:
        return _told("Stop", error)
    return ""


def _told(title: str, error: WorkbenchError) -> str:
    if isinstance(error, ConfigError | DataError):
        return checklist([("fail", title, problem.message) for problem in error.problems])
    return checklist([("fail", title, str(error))])


def render_choices(parts: Parts, known: str, target: str, key: str) -> Rendered:
    """Trainings to inspect, and inspections to show; what is chosen stays, else the newest."""
    workspace = parts.workbench.workspace
    runs, found = inspectable(workspace), listed(workspace)
    values = [_kept(target, runs), _kept(key, found)]
    signature = repr((runs, found, values))
    if signature == known:
        return known, None
    updates = [gr.Dropdown(choices=choices, value=value) for choices, value in zip((runs, found), values, strict=True)]
    return signature, [*updates, *("" if value is None else value for value in values)]


def _kept(value: str | None, choices: list[tuple[str, str]]) -> str | None:
    names = [name for _, name in choices]
    return value if value in names else next(iter(names), None)


def render_state(parts: Parts, known: str, shown: str, what: str) -> Rendered:
    """How far the shown inspection is, or why it failed; [Inspect] with what it takes, [Stop] while it runs."""
    workspace = parts.workbench.workspace
    folder = find(workspace, _kept(shown, listed(workspace)))
    state = None if folder is None else inspection_state(folder)
    busy = training_in_progress(workspace.root)
    html = "" if folder is None or state is None else state_html(folder, state)
    label = state.label if state is not None else "none"
    signature = repr((html, label, busy, what))
    if signature == known:
        return known, None
    return signature, [html, gr.Button(visible=label == "running"), start_button(parts, what, busy, label)]


def start_button(parts: Parts, what: str, busy: str | None, label: str) -> gr.Button:
    """[Inspect], and why it cannot be pressed while something else works."""
    if busy is not None:
        text = "Inspecting …" if label in {"running", "stopping"} else f"Not beside {busy}"
        return gr.Button(text, interactive=False)
    taken = usual_seconds(parts.workbench.workspace, what)
    return gr.Button("Inspect" if taken is None else f"Inspect (about {duration(taken)})", interactive=True)


def render_result(parts: Parts, known: str, shown: str, number: str) -> Rendered:
    """Everything that the shown inspection found out."""
    workspace = parts.workbench.workspace
    key = _kept(shown, listed(workspace))
    folder = find(workspace, key)
    if folder is None or is_missing(folder.path / FILE_NAME):
        text = empty(NOTHING) if folder is None else ""
        signature = f"none {key}"
        return (known, None) if signature == known else (signature, _blank(text))
    of_the_run = RunFolder(folder.path.parent).drift_path
    signature = f"{key} {file_signature(folder.path / FILE_NAME, folder.drift_path, of_the_run)}"
    if signature == known:
        return known, None
    try:
        found = read_inspection(folder)
    except WorkbenchError as error:
        return signature, _blank(_told("Inspection", error))
    publish_inspection(folder)
    workbench, pairs = parts.workbench, pairs_of(found)
    value = next((pair for pair in pairs if str(pair) == number), next(iter(pairs), None))
    return signature, [
        summary_html(workbench, found),
        audit_part(found),
        training_part(workbench, found),
        short_part(workbench, found),
        free_part(workbench, found),
        samples_part(found),
        gr.Column(visible=bool(pairs)),
        gr.Dropdown(choices=[(f"Pair {pair + 1}", pair) for pair in pairs], value=value),
        film_html(found, value) if value is not None else "",
    ]


def _blank(text: str) -> list[Any]:
    return [text, *("" for _ in RESULTS[1:]), gr.Column(visible=False), gr.Dropdown(choices=[], value=None), ""]


def show_film(parts: Parts, key: str, number: str) -> str:
    """The strips of another pair."""
    folder = find(parts.workbench.workspace, key)
    if folder is None or not number.isdecimal():
        return empty("No film strips to show.")
    try:
        return film_html(read_inspection(folder), int(number))
    except WorkbenchError as error:
        return _told("Inspection", error)
