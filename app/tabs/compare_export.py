"""What of a comparison can be taken along: a sheet of all pictures, and a report that opens without a server."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.comparison import Chosen, chosen_of
from app.html import checklist, empty
from app.parts import ACT, Parts, text_output
from app.pictures import prompt_text
from app.samples import samples_of
from app.serve import publish_reports
from core.errors import WorkbenchError
from core.report.export import export_report
from core.runs.files import make_folder, write_whole
from core.runs.swap import zipped
from core.samples.compare import Row, comparison_sheet

HELP = (
    "The sheet holds every training's pictures at the last step that all have. The report is a folder that opens "
    "without a server: verdict, tables, plots and the picture viewer."
)


def build(parts: Parts) -> None:
    """Makes the section's components."""
    gr.Markdown("## Take it along", elem_classes=["rw-heading"])
    gr.Markdown(HELP, elem_classes=["rw-note"])
    with gr.Row(elem_classes=["rw-actions"]):
        parts["compare.make-sheet"] = gr.Button("Sheet as PNG", scale=0, min_width=150, elem_id="make-sheet")
        parts["compare.make-report"] = gr.Button("HTML report", scale=0, min_width=150, elem_id="make-report")
    parts["compare.exported"] = text_output("exported")
    with gr.Row(elem_classes=["rw-actions"]):
        parts["compare.sheet"] = gr.DownloadButton(
            "Download the sheet", visible=False, scale=0, min_width=190, elem_id="sheet"
        )
        parts["compare.report"] = gr.DownloadButton(
            "Download the report", visible=False, scale=0, min_width=190, elem_id="report"
        )


def outputs(parts: Parts) -> list[Any]:
    """The components that are reset for another choice: message, sheet, report."""
    return [parts[f"compare.{name}"] for name in ("exported", "sheet", "report")]


def nothing() -> list[Any]:
    """As before anything was made."""
    return ["", gr.DownloadButton(visible=False), gr.DownloadButton(visible=False)]


def wire(parts: Parts) -> None:
    """Binds the section's events."""
    for name, make in (("sheet", make_sheet), ("report", make_report)):
        parts[f"compare.make-{name}"].click(
            lambda picked, make=make: make(parts, picked),
            parts["compare.pick"],
            [parts["compare.exported"], parts[f"compare.{name}"]],
            **ACT,
        )


def make_sheet(parts: Parts, picked: list[str] | None) -> list[Any]:
    """Draws the sheet into the workspace and offers it."""
    chosen = chosen_of(parts.workbench, picked)
    try:
        path = reports_dir(parts) / f"{_name(chosen)}-sheet.png"
        step = write_sheet(chosen, path)
    except WorkbenchError as error:
        return _problem(error)
    if step is None:
        return [empty("No sheet: there is no step at which all trainings have pictures."), gr.skip()]
    publish_reports(path.parent)
    text = f"{len(chosen.runs)} trainings at step {step}, in {path}"
    return [checklist([("pass", "Sheet", text)]), gr.DownloadButton(value=str(path), visible=True)]


def make_report(parts: Parts, picked: list[str] | None) -> list[Any]:
    """Writes the report's folder into the workspace, zips it and offers that."""
    chosen = chosen_of(parts.workbench, picked)
    if chosen.experiment is None:
        return [empty("No report: choose one experiment."), gr.skip()]
    try:
        folder = export_report(chosen.experiment, reports_dir(parts) / chosen.experiment.name)
        path = zipped(folder)
    except WorkbenchError as error:
        return _problem(error)
    publish_reports(path.parent)
    text = f"in {folder}; index.html opens without a server"
    return [checklist([("pass", "Report", text)]), gr.DownloadButton(value=str(path), visible=True)]


def write_sheet(chosen: Chosen, path: Path) -> int | None:
    """A line a training, a column a prompt and sample seed, at the last step that all have; None without such a step.

    Raises:
        DataError: If a picture cannot be read.
        RunError: If the sheet cannot be written.
    """
    samples = [samples_of(run.run) for run in chosen.runs]
    steps = [{spot.step for spot in found} for found in samples]
    common = set.intersection(*steps) if steps else set()
    if not common:
        return None
    step = max(common)
    spots = sorted({spot for found in samples for spot in found if spot.step == step})
    columns = [prompt_text(chosen.runs, spot.prompt) for spot in spots]
    labels = chosen.labels
    rows = [Row(label, [found.get(spot) for spot in spots]) for label, found in zip(labels, samples, strict=True)]
    sheet = comparison_sheet(rows, columns)
    drawn = io.BytesIO()
    sheet.save(drawn, "PNG", optimize=True)
    write_whole(path, drawn.getvalue())
    return step


def reports_dir(parts: Parts) -> Path:
    """Where reports and sheets are kept.

    Raises:
        RunError: If it cannot be made.
    """
    parts.workbench.workspace.check_there()
    folder = parts.workbench.workspace.root / "reports"
    make_folder(folder)
    return folder


def _name(chosen: Chosen) -> str:
    return chosen.entries[0].selection.name if len(chosen.entries) == 1 else "runs"


def _problem(error: WorkbenchError) -> list[Any]:
    problems: Sequence[str] = str(error).splitlines()
    return [checklist([("fail", "Not written", line) for line in problems]), gr.skip()]
