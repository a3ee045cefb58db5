"""Launch: one run or a matched comparison, what will differ, what it will take, and whether it can start."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from app import queueing, sweep_fields
from app.design import MOST_SEEDS, OTHER_ARMS, Design, allowed
from app.forecast import arms_table, forecast_cards, total_text
from app.form import config_of, try_config
from app.html import checklist, empty, paragraph, sentences
from app.launching import asked_for, name_of
from app.parts import ACT, QUIET, Parts, go_to, text_output
from app.preflight import OR_QUEUE, preflight
from app.sentences import LOOK_FOR
from app.sweeping import problems_of
from app.workbench import Workbench
from core.config.foreign.kept import kept_text
from core.config.run import RunConfig
from core.errors import ConfigError, WorkbenchError
from core.runs.arms import KNOWN_ARMS
from core.runs.lock import Occupied
from core.runs.scores import DEFAULT_SCORE, SCORES

PROBLEMS = "The settings have problems: see the list above."
POLL_SECONDS = 0.5
PATIENCE = 300.0
"""Seconds that the page waits for a measurement; it goes on all the same."""
DESIGN = ("mode", "arms-beside", "seeds", "primary", "sweep-over", "sweep-minutes", "sweep-fit")
COUNT = len(DESIGN)
"""Inputs of the comparison, as ``Design.read`` takes them."""
MODES = [("A/B: with and without rollout", "ab"), ("Single run", "single"), ("Sweep over values", "sweep")]
STARTS = {"ab": "Start A/B", "single": "Start single run", "sweep": "Start sweep"}


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    with gr.Row(elem_classes=["rw-columns"]):
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## What to train", elem_classes=["rw-heading"])
            parts["launch.mode"] = gr.Radio(MODES, value="ab", label="Comparison", interactive=True, elem_id="mode")
            _build_design(parts)
            parts["launch.name"] = gr.Textbox(
                label="Name",
                info="Its folder in the workspace is called so.",
                placeholder="after the preset",
                interactive=True,
                max_lines=1,
                elem_id="name",
            )
            with gr.Row(elem_classes=["rw-actions"]):
                parts["launch.start"] = gr.Button(
                    "Start A/B", variant="primary", size="lg", scale=0, min_width=180, elem_id="start"
                )
                parts["launch.enqueue"] = gr.Button(
                    "Add to queue", size="lg", scale=0, min_width=150, elem_id="enqueue"
                )
            parts["launch.message"] = text_output("launch-message")
            parts["launch.look"] = gr.Markdown(f"**What to look for.** {LOOK_FOR}", elem_classes=["rw-note"])
        with gr.Column(scale=6, min_width=320):
            gr.Markdown("## Before the start", elem_classes=["rw-heading"])
            parts["launch.checks"] = text_output("preflight")
            with gr.Row(elem_classes=["rw-actions"]):
                parts["launch.measure"] = gr.Button(
                    "Measure (about 10 s)", size="sm", scale=0, min_width=190, elem_id="measure"
                )
            parts["launch.measure-message"] = text_output("measure-message")
    gr.Markdown("## What it takes", elem_classes=["rw-heading"])
    parts["launch.total"] = text_output("total")
    parts["launch.forecast"] = text_output("forecast")
    gr.Markdown("## What differs between the arms", elem_classes=["rw-heading"])
    parts["launch.arms"] = text_output("arms")
    queueing.build(parts)


def _build_design(parts: Parts) -> None:
    """Arms beside the two, training seeds and the declared score; only for an A/B."""
    with gr.Column(elem_classes=["rw-design"]) as parts["launch.design"]:
        parts["launch.arms-beside"] = gr.CheckboxGroup(
            [(f"{KNOWN_ARMS[name].label}: {KNOWN_ARMS[name].help}", name) for name in OTHER_ARMS],
            value=[],
            label="Arms beside these two",
            info="Controls and comparisons of the same pictures, noises and seeds. Each is trained once per seed.",
            interactive=True,
            elem_id="arms-beside",
            elem_classes=["rw-stacked"],
        )
        sweep_fields.build(parts)
        with gr.Row(elem_classes=["rw-fields", "rw-fields-two"]):
            parts["launch.seeds"] = gr.Number(
                1,
                label="Training seeds",
                info=f"Of each arm, 1 to {MOST_SEEDS}, counted up from the seed of the settings.",
                step=1,
                interactive=True,
                elem_id="seeds",
                elem_classes=["rw-option"],
            )
            parts["launch.primary"] = gr.Dropdown(
                [(score.label, score.name) for score in SCORES.values()],
                value=DEFAULT_SCORE,
                label="Primary score, declared before training",
                info="It alone gives the verdict, or ranks a sweep; the others are secondary.",
                filterable=False,
                interactive=True,
                elem_id="primary",
                elem_classes=["rw-option"],
            )
        parts["launch.design-note"] = text_output("design-note")


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    design = [parts[f"launch.{slot}"] for slot in DESIGN]
    gr.on([*(component.input for component in design), parts["launch.name"].input], **parts.chains["preview"])
    gr.on([*(component.input for component in design), parts["tab.launch"].select], **parts.chains["review"]).then(
        **parts.chains["settle"]
    )
    parts["launch.measure"].click(**parts.chains["measure"]).then(**parts.chains["review"]).then(
        **parts.chains["settle"]
    ).then(**parts.chains["preview"])
    parts["launch.start"].click(**parts.chains["start"]).then(**parts.chains["remember"]).then(**parts.chains["tick"])
    parts["launch.enqueue"].click(**parts.chains["enqueue"]).then(**parts.chains["tick"])
    queueing.wire(parts)


def share(parts: Parts) -> None:
    """Names the events that other tabs use too."""
    design, name, preset = [parts[f"launch.{slot}"] for slot in DESIGN], parts["launch.name"], parts["configure.preset"]
    shown = (
        "start",
        "design",
        "arms-beside",
        "sweep",
        "sweep-note",
        "design-note",
        "name",
        "measure",
        "checks",
        "total",
        "forecast",
        "arms",
    )
    for chain, render in (("review", review), ("settle", settle)):
        parts.chains[chain] = {
            "fn": lambda *values, render=render: render(
                parts, Design.read(parts.workbench.paths, *values[:COUNT]), values[COUNT], values[COUNT + 1 :]
            ),
            "inputs": [*design, preset, *parts.options],
            "outputs": [parts[f"launch.{slot}"] for slot in shown],
            **QUIET,
        }
    parts.chains["measure"] = {
        "fn": lambda *raw: measure(parts, raw),
        "inputs": parts.options,
        "outputs": parts["launch.measure-message"],
        **ACT,
    }
    parts.chains["start"] = {
        "fn": lambda *values: start(
            parts,
            Design.read(parts.workbench.paths, *values[:COUNT]),
            values[COUNT],
            values[COUNT + 1],
            values[COUNT + 3 :],
            values[COUNT + 2],
        ),
        "inputs": [*design, name, preset, parts["configure.imported"], *parts.options],
        "outputs": [
            parts["selection"],
            parts["tabs"],
            parts["launch.message"],
            parts["data.message"],
            parts["configure.problems"],
        ],
        **ACT,
    }
    queueing.share(parts, design, name, preset)


def review(parts: Parts, design: Design, preset: str, raw: Any) -> list[Any]:
    """Button, checks, forecast and arms for what the form holds."""
    config, problems = try_config(raw, parts.workbench.paths)
    workbench = parts.workbench
    checks = preflight(config, problems, workbench.workspace, design)
    return [
        gr.Button(STARTS[design.mode]),
        gr.Column(visible=design.is_experiment),
        gr.CheckboxGroup(visible=design.is_ab),
        gr.Column(visible=design.sweep is not None),
        sweep_note(workbench, config, design),
        design_note(design),
        gr.Textbox(placeholder=workbench.default_name(config, design.mode, preset)),
        measure_button(workbench, config),
        checklist([(check.level, check.title, check.text) for check in checks]),
        paragraph(total_text(workbench, config, design)) if config else "",
        forecast_cards(workbench, config, design) if config else empty(PROBLEMS),
        arms_table(workbench, config, design) if config else empty(PROBLEMS),
    ]


def sweep_note(workbench: Workbench, config: RunConfig | None, design: Design) -> str:
    """What is wrong with the values or the cap, at their fields."""
    if design.sweep is None or config is None or not (design.sweep.over or design.sweep.problems):
        return ""
    found = problems_of(design.sweep, workbench.workspace.root, config, design.seeds)
    return checklist([("fail", "Sweep", problem.message) for problem in found])


def design_note(design: Design) -> str:
    """What the seeds allow to be said, and how to read the declared score."""
    if not design.is_experiment:
        return ""
    score = SCORES[design.primary]
    told = allowed(design.seeds, sweep=design.sweep is not None)
    return sentences([told, f"{score.label} ({score.unit}): {score.help}"])


def measure_button(workbench: Workbench, config: RunConfig | None) -> gr.Button:
    """[Measure], with what it is good for now."""
    if config is None:
        return gr.Button("Measure (about 10 s)", interactive=False)
    if workbench.is_measuring(config):
        return gr.Button("Measuring …", interactive=False)
    known = workbench.measurement(config) is not None
    return gr.Button("Measure again (about 10 s)" if known else "Measure (about 10 s)", interactive=True)


def measure(parts: Parts, raw: Any) -> str:
    """Starts a measurement in a process of its own; says why where that cannot be."""
    try:
        parts.workbench.measure(config_of(raw, parts.workbench.paths))
    except ConfigError as error:
        return checklist([("fail", "Measure", problem.message) for problem in error.problems])
    except WorkbenchError as error:
        return checklist([("fail", "Measure", str(error))])
    return ""


def settle(parts: Parts, design: Design, preset: str, raw: Any) -> Any:
    """Waits for a measurement that runs, then shows everything anew; nothing where none does.

    Only this page's view waits: the measurement is a process of its own, and its result a file.
    """
    config, _ = try_config(raw, parts.workbench.paths)
    if config is None or not parts.workbench.is_measuring(config):
        return gr.skip()
    deadline = time.monotonic() + PATIENCE
    while parts.workbench.is_measuring(config) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return review(parts, design, preset, raw)


def start(parts: Parts, design: Design, title: str, preset: str, raw: Any, imported: object = "") -> list[Any]:
    """Starts the training and shows it, or says at the fields and here why not."""
    config, found, marked = asked_for(parts, design, raw, now=True)
    if config is None:
        return [gr.skip(), gr.skip(), found, found, marked]
    name = name_of(parts, design, title, preset, config)
    try:
        selection = parts.workbench.start(
            config, design.mode, name, arms=design.arms, seeds=design.seeds, primary=design.primary, preset=preset,
            sweep=design.sweep, imported=kept_text(imported).section,
        )  # fmt: skip
    except WorkbenchError as error:
        why = f"{error}. {OR_QUEUE}" if isinstance(error, Occupied) else str(error)
        found = checklist([("fail", "Start", why)])
        return [gr.skip(), gr.skip(), found, found, gr.skip()]
    return [str(selection), go_to("monitor"), "", "", ""]
