"""Configure: presets, the few settings that matter first, the rollout with live previews, and everything else."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from app.design import TWO_ARMS, Design
from app.form import config_of, make_input, marks, try_config, values_of
from app.html import checklist, empty, escape, sentences
from app.measured import assumed, cost_cards
from app.parts import ACT, QUIET, Parts, go_to, text_output
from app.previews import about, differences, rollout_charts
from app.sentences import in_force
from app.tabs import configure_text, data
from app.tabs.launch import COUNT, DESIGN
from core.config.fields import ROLLOUT_BLOCK
from core.config.presets import DEFAULT_PRESET
from core.config.spec import OptionSpec, option_specs
from core.errors import ConfigError, WorkbenchError

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
KEEP = "(preset, imported, ...values) => JSON.stringify({preset, imported, values})"
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
    _build_end(parts)


def _add(parts: Parts, spec: OptionSpec) -> None:
    parts.inputs[spec.name] = make_input(spec)


def _build_end(parts: Parts) -> None:
    configure_text.build(parts)
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
            parts,
            values[COUNT + 1],
            values[COUNT + 2 :],
            Design.read(parts.workbench.paths, *values[:COUNT]),
            values[COUNT],
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
        "inputs": [parts["configure.preset"], parts["configure.imported"], *parts.options],
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
    preset.input(
        lambda name: [*take_preset(parts, name), ""], preset, [*parts.options, parts["configure.imported"]], **QUIET
    ).then(**parts.chains["preview"]).then(**parts.chains["listing"]).then(**parts.chains["keep"])
    configure_text.wire(parts)
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
        configure_text.export_button(text),
    ]


def take_preset(parts: Parts, name: Any) -> list[Any]:
    """The form's inputs for a preset; says what is wrong where its file has gone or was damaged meanwhile."""
    try:
        return values_of(parts.workbench.preset(str(name)).config)
    except ConfigError as error:
        raise gr.Error(escape(error), print_exception=False) from error


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
