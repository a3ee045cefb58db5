"""Configure: presets, the few settings that matter first, the rollout with live previews, and everything else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.design import TWO_ARMS, Design
from app.form import config_of, make_input, marks, try_config, values_of
from app.html import checklist, empty, escape, sentences
from app.measured import assumed, cost_cards
from app.parts import ACT, QUIET, Parts, go_to, text_output
from app.previews import about, differences, rollout_charts
from app.sentences import in_force
from app.serve import publish_configs
from app.tabs import data
from app.tabs.launch import COUNT, DESIGN
from core.config.fields import ROLLOUT_BLOCK
from core.config.presets import DEFAULT_PRESET
from core.config.spec import OptionSpec, option_specs
from core.errors import ConfigError, RunError, WorkbenchError
from core.runs.files import make_folder, write_whole

FIRST = (
    "max_step_offset",
    "stride",
    "probability",
    "ramp_steps",
    "prob_start",
    "prob_end",
    "ramp_shape",
    "start_step",
    "sampler",
    "target",
    "mode",
    "reflexflow",
)
"""Rollout options that stand beside the previews; the others follow in a fold."""
KEEP = "(preset, ...values) => JSON.stringify({preset, values})"
"""Keeps the form in the browser, with no way over the server on which an older state could overtake a newer."""
BLOCKS = {
    "model": "Model",
    "data": "Pictures",
    "training": "Training",
    "lora": "LoRA",
    "validation": "Samples and drift probe",
}
PREVIEWS = ("ramp", "offsets", "touched", "cost")


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    specs = {name: spec for name, spec in option_specs().items() if name not in data.HERE}
    rollout = {name: spec for name, spec in specs.items() if spec.block == ROLLOUT_BLOCK}
    others = {name: spec for name, spec in specs.items() if spec.block != ROLLOUT_BLOCK}

    gr.Markdown("## Start from a preset", elem_classes=["rw-heading"])
    parts["configure.preset"] = gr.Radio(
        preset_choices(parts),
        value=DEFAULT_PRESET,
        label="Preset",
        show_label=False,
        interactive=True,
        elem_id="preset",
        elem_classes=["rw-presets"],
    )
    parts["configure.problems"] = text_output("problems")
    parts["configure.about"] = text_output("preset-about")
    gr.Markdown("## Training", elem_classes=["rw-heading"])
    with gr.Row(elem_classes=["rw-fields"]):
        for spec in others.values():
            if spec.basic:
                _add(parts, spec)
    gr.Markdown("## Rollout", elem_classes=["rw-heading"])
    with gr.Row(elem_classes=["rw-columns"]):
        with gr.Column(scale=5, min_width=320):
            with gr.Row(elem_classes=["rw-fields", "rw-fields-two"]):
                for spec in (rollout[f"scheduled_sampling_{field}"] for field in FIRST):
                    _add(parts, spec)
            with (
                gr.Accordion("More rollout settings", open=False, elem_classes=["rw-fold"]),
                gr.Row(elem_classes=["rw-fields", "rw-fields-two"]),
            ):
                for spec in rollout.values():
                    if spec.field not in FIRST:
                        _add(parts, spec)
        with gr.Column(scale=5, min_width=320, elem_classes=["rw-aside"]):
            parts["configure.cost"] = text_output("rollout-cost")
            parts["configure.force"] = text_output("rollout-in-force")
            parts["configure.charts"] = text_output("rollout-previews")
    with gr.Accordion("All other settings", open=False, elem_classes=["rw-fold"], elem_id="all-settings"):
        for block, title in BLOCKS.items():
            here = [spec for spec in others.values() if spec.block == block and not spec.basic]
            if here:
                gr.Markdown(f"### {title}", elem_classes=["rw-heading"])
                with gr.Row(elem_classes=["rw-fields"]):
                    for spec in here:
                        _add(parts, spec)
    _build_text(parts)


def _add(parts: Parts, spec: OptionSpec) -> None:
    parts.inputs[spec.name] = make_input(spec)


def _build_text(parts: Parts) -> None:
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
            label="Config (JSON)",
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
                "Import a file", file_types=[".json"], scale=0, min_width=140, elem_id="import-file"
            )
            parts["configure.export"] = gr.DownloadButton("Export JSON", scale=0, min_width=140, elem_id="export-file")
        parts["configure.text-message"] = text_output("text-message")
    with gr.Row(elem_classes=["rw-actions", "rw-end"]):
        parts["configure.save-name"] = gr.Textbox(
            label="Name of my preset",
            placeholder="My cat, long rollouts",
            interactive=True,
            max_lines=1,
            scale=0,
            min_width=260,
            elem_id="preset-name",
        )
        parts["configure.save"] = gr.Button("Save as my preset", scale=0, min_width=170, elem_id="save-preset")
        parts["configure.next"] = gr.Button(
            "Continue to Launch", variant="primary", scale=0, min_width=190, elem_id="to-launch"
        )
    parts["configure.save-message"] = text_output("save-message")


def preset_choices(parts: Parts) -> list[tuple[str, str]]:
    """Text on the card and name of each preset."""
    presets = parts.workbench.presets().values()
    return [(preset.title if preset.shipped else f"{preset.title} (mine)", preset.name) for preset in presets]


def share(parts: Parts) -> None:
    """Names the events that other tabs use too."""
    names = ("problems", "about", "cost", "force", "charts", "difference", "command", "json", "export")
    parts.chains["preview"] = {
        "fn": lambda *values: preview(
            parts, values[COUNT + 1], values[COUNT + 2 :], Design.read(*values[:COUNT]), values[COUNT]
        ),
        "inputs": [
            *(parts[f"launch.{slot}"] for slot in DESIGN),
            parts["launch.name"],
            parts["configure.preset"],
            *parts.options,
        ],
        "outputs": [parts[f"configure.{name}"] for name in names],
        **QUIET,
    }
    parts.chains["keep"] = {
        "fn": None,
        "inputs": [parts["configure.preset"], *parts.options],
        "outputs": parts["draft"],
        "js": KEEP,
        **QUIET,
    }


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    preset = parts["configure.preset"]
    edited = [component.input for component in parts.options]
    gr.on(edited, **parts.chains["preview"])
    gr.on(edited, **parts.chains["keep"])
    preset.input(lambda name: take_preset(parts, name), preset, parts.options, **QUIET).then(
        **parts.chains["preview"]
    ).then(**parts.chains["listing"]).then(**parts.chains["keep"])
    taken = [*parts.options, parts["configure.text-message"]]
    for event in (
        parts["configure.apply"].click(
            lambda text, name: take_text(parts, text, name), [parts["configure.json"], preset], taken, **ACT
        ),
        parts["configure.import"].upload(
            lambda path, name: take_file(parts, path, name), [parts["configure.import"], preset], taken, **ACT
        ),
    ):
        event.then(**parts.chains["preview"]).then(**parts.chains["listing"]).then(**parts.chains["keep"])
    parts["configure.save"].click(
        lambda title, *raw: save(parts, title, raw),
        [parts["configure.save-name"], *parts.options],
        [preset, parts["configure.save-message"]],
        **ACT,
    ).then(**parts.chains["preview"])
    parts["configure.next"].click(lambda: go_to("launch"), None, parts["tabs"], **ACT).then(**parts.chains["review"])


def preview(parts: Parts, preset_name: str, raw: Any, design: Design = TWO_ARMS, title: str | None = None) -> list[Any]:
    """Everything beside the fields, for what they hold now; with problems, these and the previews of before."""
    config, problems = try_config(raw, parts.workbench.paths)
    if config is None:
        return [marks(problems), *(gr.skip() for _ in range(8))]
    presets = parts.workbench.presets()
    base, measurement = presets.get(preset_name), parts.workbench.measurement(config)
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return [
        "",
        about(base) if base else empty("This preset is no longer there."),
        cost_cards(config, measurement),
        sentences([*in_force(config), *assumed(config, measurement)]),
        rollout_charts(parts.workbench, config),
        differences(base, config) if base else "",
        parts.workbench.command(config, preset_name, design, title) if base else "",
        text,
        export_button(text),
    ]


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


def take_preset(parts: Parts, name: Any) -> list[Any]:
    """The form's inputs for a preset; says what is wrong where its file has gone or was damaged meanwhile."""
    try:
        return values_of(parts.workbench.preset(str(name)).config)
    except ConfigError as error:
        raise gr.Error(escape(error), print_exception=False) from error


def take_text(parts: Parts, text: str | None, preset_name: str) -> list[Any]:
    """The form's inputs for a config as text, or what is wrong with it."""
    try:
        config = parts.workbench.import_text(text or "", preset_name)
    except ConfigError as error:
        found = checklist([("fail", problem.option, problem.message) for problem in error.problems])
        return [*(gr.skip() for _ in parts.options), found]
    return [*values_of(config), checklist([("pass", "Applied", "The form holds this config now.")])]


def take_file(parts: Parts, path: str | None, preset_name: str) -> list[Any]:
    """The same for an uploaded file."""
    if path is None:
        return [gr.skip()] * (len(parts.options) + 1)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(1_000_000)
    except (OSError, UnicodeDecodeError) as error:
        found = checklist([("fail", "Import", f"the file must be UTF-8 text, got an error: {error}")])
        return [*(gr.skip() for _ in parts.options), found]
    return take_text(parts, text, preset_name)


def save(parts: Parts, title: str, raw: Any) -> tuple[Any, str]:
    """Keeps the form as a preset of one's own, selected."""
    try:
        name = parts.workbench.keep_preset(title or "", config_of(raw, parts.workbench.paths))
    except ConfigError as error:
        return gr.skip(), checklist([("fail", problem.option, problem.message) for problem in error.problems])
    except WorkbenchError as error:
        return gr.skip(), checklist([("fail", "Preset", str(error))])
    saved = checklist(
        [("pass", "Saved", f"“{title}” is listed beside the other presets and as {name} on the command line.")]
    )
    return gr.Radio(choices=preset_choices(parts), value=name), saved
