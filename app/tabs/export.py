"""Export: a finished training's LoRA for other tools, made and checked in a process of its own."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.exports import begin, config_of, look, result_html, state_html
from app.html import checklist, empty, paragraph
from app.inspection import inspectable
from app.parts import ACT, QUIET, Live, Parts, Rendered, text_output
from app.serve import publish_exports
from core.errors import ConfigError, DataError, WorkbenchError
from core.export.formats import FORMATS, format_problem
from core.runs.exported import exports_dir, stop_export
from core.runs.lock import training_in_progress

INTRODUCTION = (
    "Writes the LoRA of a finished training as other tools read it. Before it is handed out it is loaded through its "
    "own reader onto a fresh base model, and has to change network and picture by what the training's own LoRA changes."
)
NOTHING = "Nothing exported yet in this format."
NO_RUN = "No training has a LoRA yet: train one first."


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    parts["export.target"] = gr.Textbox(value="", visible=False, label="target")
    gr.Markdown("## Take a LoRA elsewhere", elem_classes=["rw-heading"])
    gr.Markdown(INTRODUCTION, elem_classes=["rw-note"])
    with gr.Row(elem_classes=["rw-fields"]):
        parts["export.run"] = gr.Dropdown(
            [], value=None, label="Training", info="Runs and arms that have a LoRA.", filterable=False,
            interactive=True, elem_id="export-run", elem_classes=["rw-option"],
        )  # fmt: skip
    first = next(iter(FORMATS))
    parts["export.format"] = gr.Radio(
        [(found.title, name) for name, found in FORMATS.items()], value=first, label="Format", interactive=True,
        elem_id="export-format",
    )  # fmt: skip
    parts["export.help"] = text_output("export-help")
    with gr.Row(elem_classes=["rw-actions"]):
        parts["export.start"] = gr.Button("Export", variant="primary", scale=0, min_width=250, elem_id="export-start")
        parts["export.stop"] = gr.Button(
            "Stop", variant="stop", visible=False, scale=0, min_width=90, elem_id="export-stop"
        )
        parts["export.download"] = gr.DownloadButton(
            "Download the zip", visible=False, scale=0, min_width=190, elem_id="export-download"
        )
    parts["export.message"] = text_output("export-message")
    parts["export.state"] = text_output("export-state")
    parts["export.result"] = text_output("export-result")
    _register(parts)


def _register(parts: Parts) -> None:
    def live(name: str, inputs: list[str], outputs: list[str], render: Any) -> None:
        given, filled = ([parts[f"export.{slot}"] for slot in slots] for slots in (inputs, outputs))
        parts.lives.append(
            Live(f"export.{name}", "export", given, filled, lambda known, *values: render(parts, known, *values))
        )

    live("choices", ["target"], ["run", "target"], render_choices)
    live("state", ["target", "format"], ["help", "state", "result", "start", "stop", "download"], render_state)


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    target, format, message = (parts[f"export.{slot}"] for slot in ("target", "format", "message"))
    tick = parts.chains["tick"]
    parts["export.run"].input(lambda name: (name, ""), parts["export.run"], [target, message], **QUIET).then(**tick)
    format.input(lambda: "", None, message, **QUIET).then(**tick)
    for slot, act in (("start", start), ("stop", stop)):
        parts[f"export.{slot}"].click(
            lambda run, name, act=act: act(parts, run, name), [target, format], message, **ACT
        ).then(**tick)


def start(parts: Parts, run: str, format: str) -> str:
    """Starts an export, or says why not."""
    try:
        begin(parts.workbench.workspace, run, format)
    except WorkbenchError as error:
        return _told("Not exported", error)
    return ""


def stop(parts: Parts, run: str, format: str) -> str:
    """Asks an export to stop; its state tells when it has."""
    shown = look(parts.workbench.workspace, run, format)
    if shown is None:
        return checklist([("fail", "Stop", "This training is no longer there; reload the page.")])
    try:
        stop_export(shown.process)
    except WorkbenchError as error:
        return _told("Not stopped", error)
    return ""


def _told(title: str, error: WorkbenchError) -> str:
    if isinstance(error, ConfigError | DataError):
        return checklist([("fail", title, problem.message) for problem in error.problems])
    return checklist([("fail", title, str(error))])


def render_choices(parts: Parts, known: str, target: str) -> Rendered:
    """Trainings to export; the one that is chosen stays, else the newest."""
    runs = inspectable(parts.workbench.workspace)
    names = [name for _, name in runs]
    value = target if target in names else next(iter(names), None)
    signature = repr((runs, value))
    if signature == known:
        return known, None
    return signature, [gr.Dropdown(choices=runs, value=value), "" if value is None else value]


def render_state(parts: Parts, known: str, target: str, format: str) -> Rendered:
    """How far an export is or how it ended, what was measured, and the buttons that can be pressed."""
    workspace = parts.workbench.workspace
    shown = look(workspace, target, format)
    busy = training_in_progress(workspace.root)
    if shown is None:
        signature = f"none {busy}"
        hidden = [gr.Button(visible=False), gr.DownloadButton(visible=False)]
        return signature, None if signature == known else ["", "", empty(NO_RUN), _start(None, busy), *hidden]
    config = config_of(workspace, target)
    problem = None if config is None else format_problem(format, config.model.family)
    told = paragraph(FORMATS[format].help) if problem is None else checklist([("fail", "Format", problem.message)])
    state, packed = state_html(shown), None if shown.live else shown.packed
    result = "" if shown.live else result_html(shown)
    signature = repr((told, state, result, packed, busy, shown.live, target, format))
    if signature == known:
        return known, None
    if packed is not None:
        publish_exports(exports_dir(workspace))
    download = (
        gr.DownloadButton(visible=False) if packed is None else gr.DownloadButton(value=str(packed), visible=True)
    )
    nothing = "" if shown.live or state else empty(NOTHING)
    start_button = _start("Exporting …" if shown.live else None, busy, refused=problem is not None)
    return signature, [told, state, result or nothing, start_button, gr.Button(visible=shown.live), download]


def _start(working: str | None, busy: str | None, *, refused: bool = False) -> gr.Button:
    """[Export], and why it cannot be pressed while something else works."""
    if working is not None:
        return gr.Button(working, interactive=False)
    return gr.Button("Export" if busy is None else f"Not beside {busy}", interactive=busy is None and not refused)
