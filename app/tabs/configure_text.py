"""Configure as text: the config, its differences, the command, import and export."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.form import try_config, values_of
from app.html import checklist
from app.importing import failed, folder_of, packed, simpletuner_config, take_over, told_of
from app.parts import ACT, Parts, text_output
from app.serve import publish_configs, publish_exports
from core.config.files import LARGEST
from core.config.foreign import ENDINGS
from core.errors import ConfigError, RunError
from core.regular import size_text
from core.runs.files import make_folder, write_whole


def build(parts: Parts) -> None:
    """Makes the section."""
    with gr.Accordion(
        "As text: config, differences, command, import and export",
        open=False,
        elem_classes=["rw-fold"],
        elem_id="as-text",
    ):
        parts["configure.difference"] = text_output("preset-difference")
        parts["configure.command"] = gr.Textbox(
            label="The same, typed",
            info="Trains what the form holds, from the project's folder.",
            interactive=False,
            lines=1,
            max_lines=6,
            elem_id="command",
        )
        parts["configure.json"] = gr.Textbox(  # no gr.Code: the Tab key does not get out of it
            label="Config (JSON), or a command line of diffusers' scripts or kohya's",
            interactive=True,
            lines=16,
            max_lines=24,
            buttons=["copy"],
            elem_id="config-text",
            elem_classes=["rw-code"],
        )
        with gr.Row(elem_classes=["rw-actions"]):
            parts["configure.apply"] = gr.Button("Apply this text", scale=0, min_width=150, elem_id="apply-text")
            parts["configure.import"] = gr.UploadButton(
                "Import a file",
                file_types=[ending for ending in ENDINGS if ending],
                scale=0,
                min_width=140,
                elem_id="import-file",
            )
            parts["configure.export"] = gr.DownloadButton("Export JSON", scale=0, min_width=140, elem_id="export-file")
            parts["configure.simpletuner"] = gr.Button(
                "For SimpleTuner", scale=0, min_width=150, elem_id="for-simpletuner"
            )
            parts["configure.zip"] = gr.DownloadButton(
                "Download the zip", scale=0, min_width=150, visible=False, elem_id="simpletuner-zip"
            )
        parts["configure.text-message"] = text_output("text-message")
        parts["configure.imported"] = gr.Textbox(value="", visible=False, label="imported")


def wire(parts: Parts) -> None:
    """Binds the section's events."""
    preset = parts["configure.preset"]
    taken = [*parts.options, parts["configure.imported"], parts["configure.text-message"]]
    for event in (
        parts["configure.apply"].click(
            lambda text, name: take_text(parts, text, name), [parts["configure.json"], preset], taken, **ACT
        ),
        parts["configure.import"].upload(
            lambda path, name: take_file(parts, path, name), [parts["configure.import"], preset], taken, **ACT
        ),
    ):
        event.then(**parts.chains["preview"]).then(**parts.chains["listing"]).then(**parts.chains["keep"])
    parts["configure.simpletuner"].click(
        lambda imported, *raw: for_simpletuner(parts, imported, raw),
        [parts["configure.imported"], *parts.options],
        [parts["configure.zip"], parts["configure.text-message"]],
        **ACT,
    )


def export_button(text: str) -> gr.DownloadButton:
    """[Export JSON] with its file, in the page's own cache: it must stand there before the click."""
    folder = Path(get_upload_folder()) / "export" / hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / "config.json"
    try:
        make_folder(folder)
        write_whole(path, text + "\n")
    except RunError:
        return gr.DownloadButton("Export JSON: no room for the file", value=None, interactive=False)
    publish_configs(folder.parent)
    return gr.DownloadButton("Export JSON", value=str(path), interactive=True)


def take_text(parts: Parts, text: str | None, preset: str, name: str = "the text") -> list[Any]:
    """The form's inputs for a config as text, what is kept of it, and what there is to say."""
    taken = take_over(parts.workbench, text or "", name, preset)
    if taken.config is None:
        return [*(gr.skip() for _ in parts.options), gr.skip(), taken.html]
    return [*values_of(taken.config), taken.kept, taken.html]


def take_file(parts: Parts, path: str | None, preset: str) -> list[Any]:
    """The same for an uploaded file."""
    if path is None:
        return [gr.skip()] * (len(parts.options) + 2)
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        found = checklist([("fail", "Import", f"the file must be UTF-8 text, got an error: {error}")])
        return [*(gr.skip() for _ in parts.options), gr.skip(), found]
    if len(text) > LARGEST:
        found = checklist([("fail", "Import", f"the file must have at most {size_text(LARGEST)}, got more")])
        return [*(gr.skip() for _ in parts.options), gr.skip(), found]
    return take_text(parts, text, preset, Path(path).name)


def for_simpletuner(parts: Parts, imported: str | None, raw: Any) -> tuple[Any, str]:
    """A button for the zip with SimpleTuner's config, and what that cannot say."""
    config, problems = try_config(raw, parts.workbench.paths)
    if config is None:
        return gr.skip(), failed(problems)
    try:
        made = simpletuner_config(config, imported or "")
        data = packed(made)
        folder = folder_of(data, Path(get_upload_folder()))
        make_folder(folder)
        write_whole(folder / "simpletuner.zip", data)
    except ConfigError as error:
        return gr.skip(), failed(error.problems)
    except RunError as error:
        return gr.skip(), checklist([("fail", "SimpleTuner", str(error))])
    publish_exports(folder.parent)
    button = gr.DownloadButton("Download the zip", value=str(folder / "simpletuner.zip"), visible=True)
    return button, told_of(made, config)
