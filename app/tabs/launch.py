"""Launch: one run or a matched comparison, what will differ, what it will take, and whether it can start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.form import config_of, heading, marks, to_input, try_config
from app.html import cards, checklist, empty, table
from app.measured import times
from app.parts import ACT, QUIET, Parts, go_to, text_output
from app.preflight import preflight
from app.sentences import LOOK_FOR
from app.view import duration
from app.workbench import TOO_LONG, Workbench
from core.config.flat import difference
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.errors import ConfigError, WorkbenchError
from core.runs.arms import DEFAULT_ARMS, arm_of
from core.runs.cost import forecast_of

PROBLEMS = "The settings have problems: see the list above."
POLL_SECONDS = 0.5
PATIENCE = 300.0
"""Seconds that the page waits for a measurement; it goes on all the same."""
MODES = [("A/B: with and without rollout", "ab"), ("Single run", "single")]


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    with gr.Row(elem_classes=["rw-columns"]):
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## What to train", elem_classes=["rw-heading"])
            parts["launch.mode"] = gr.Radio(MODES, value="ab", label="Comparison", interactive=True, elem_id="mode")
            parts["launch.too-long"] = gr.Checkbox(
                label='Add a third arm, "too long": K = 3 at stride 125',
                info="Shows what too much rollout does. In the demo it takes about as long as the rollout arm.",
                value=False,
                interactive=True,
                elem_id="too-long",
            )
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
    parts["launch.forecast"] = text_output("forecast")
    gr.Markdown("## What differs between the arms", elem_classes=["rw-heading"])
    parts["launch.arms"] = text_output("arms")


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    gr.on(
        [parts["launch.mode"].input, parts["launch.too-long"].input, parts["tab.launch"].select],
        **parts.chains["review"],
    ).then(**parts.chains["settle"])
    parts["launch.measure"].click(**parts.chains["measure"]).then(**parts.chains["review"]).then(
        **parts.chains["settle"]
    ).then(**parts.chains["preview"])
    parts["launch.start"].click(**parts.chains["start"]).then(**parts.chains["remember"]).then(**parts.chains["tick"])


def share(parts: Parts) -> None:
    """Names the events that other tabs use too."""
    mode, too_long, name = parts["launch.mode"], parts["launch.too-long"], parts["launch.name"]
    preset = parts["configure.preset"]
    shown = ("start", "too-long", "name", "measure", "checks", "forecast", "arms")
    for chain, render in (("review", review), ("settle", settle)):
        parts.chains[chain] = {
            "fn": lambda kind, third, name, *raw, render=render: render(parts, kind, third, name, raw),
            "inputs": [mode, too_long, preset, *parts.options],
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
        "fn": lambda kind, third, title, name, *raw: start(parts, kind, third, title, name, raw),
        "inputs": [mode, too_long, name, preset, *parts.options],
        "outputs": [
            parts["selection"],
            parts["tabs"],
            parts["launch.message"],
            parts["data.message"],
            parts["configure.problems"],
        ],
        **ACT,
    }


def review(parts: Parts, mode: str, too_long: bool, preset: str, raw: Any) -> list[Any]:
    """Button, checks, forecast and arms for what the form holds."""
    config, problems = try_config(raw)
    third = bool(too_long) and mode == "ab"
    checks = preflight(config, problems, parts.workbench.workspace, mode, third)
    arms = [*DEFAULT_ARMS, *([TOO_LONG] if third else [])] if mode == "ab" else []
    return [
        gr.Button("Start A/B" if mode == "ab" else "Start single run"),
        gr.Checkbox(visible=mode == "ab"),
        gr.Textbox(placeholder=parts.workbench.default_name(config, mode, preset)),
        measure_button(parts.workbench, config),
        checklist([(check.level, check.title, check.text) for check in checks]),
        forecast_cards(parts.workbench, config, arms) if config else empty(PROBLEMS),
        arms_table(config, arms) if config else empty(PROBLEMS),
    ]


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
        parts.workbench.measure(config_of(raw))
    except ConfigError as error:
        return checklist([("fail", "Measure", problem.message) for problem in error.problems])
    except WorkbenchError as error:
        return checklist([("fail", "Measure", str(error))])
    return ""


def settle(parts: Parts, mode: str, too_long: bool, preset: str, raw: Any) -> Any:
    """Waits for a measurement that runs, then shows everything anew; nothing where none does.

    Only this page's view waits: the measurement is a process of its own, and its result a file.
    """
    config, _ = try_config(raw)
    if config is None or not parts.workbench.is_measuring(config):
        return gr.skip()
    deadline = time.monotonic() + PATIENCE
    while parts.workbench.is_measuring(config) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return review(parts, mode, too_long, preset, raw)


def forecast_cards(workbench: Workbench, config: RunConfig, arms: list[str]) -> str:
    """What each arm takes: steps times the length of a step, in minutes where it or one like it was measured here."""
    measurement = workbench.measurement(config)
    plain = workbench.plain_step_seconds(config) if measurement is None else None
    shown = {}
    for name, own in configs_of(config, arms).items():
        cost, steps = forecast_of(own, measurement), own.training.max_train_steps
        taken = cost.seconds_per_step if plain is None else plain * cost.relative_step_time
        extra = f"; rollout: {cost.rollout_forwards_per_item:.2f} forwards an item"
        visited = f", {cost.trained_per_item:.2f} states trained" if cost.trained_per_item > 1 else ""
        work = (
            f"{steps} steps, each {times(cost)} a plain one{extra if own.scheduled_sampling.enabled else ''}{visited}"
        )
        if taken is None:
            shown[name] = (f"{steps} × {times(cost)}", f"{work}. Minutes are known after a measurement.")
        else:
            shown[name] = (f"about {duration(taken * steps)}", f"{work}. Without loading and samples.")
    return cards(shown)


def configs_of(config: RunConfig, arms: Sequence[str]) -> dict[str, RunConfig]:
    """The config of each arm that this config can have; the config itself for a single run."""
    made = {}
    for name in arms:
        try:
            made[name] = arm_of(name, config).config
        except ConfigError:
            continue
    return made if arms else {"this run": config}


def arms_table(config: RunConfig, arms: list[str]) -> str:
    """Options in which the arms differ; everything else is the same, seeds and noises included."""
    if not arms:
        return empty("A single run has no second arm to differ from.")
    specs, made = option_specs(), configs_of(config, arms)
    first = next(iter(made.values()))
    names = list(dict.fromkeys(name for own in made.values() for name in difference(first, own)))
    if not names:
        return empty("The arms do not differ: rollout is off in both. Raise K on the Configure tab.")
    rows = []
    for name in names:
        spec = specs[name]
        values = [getattr(getattr(own, spec.block), spec.field) for own in made.values()]
        rows.append([heading(spec), *(str(to_input(spec, value)) for value in values)])
    return table(
        ["Setting", *arms],
        rows,
        "Everything else is the same in all arms: pictures, noises, timesteps, prompts and seeds",
    )


def start(parts: Parts, mode: str, too_long: bool, title: str, preset: str, raw: Any) -> list[Any]:
    """Starts the training and shows it, or says at the fields and here why not."""
    third = bool(too_long) and mode == "ab"
    try:
        config = config_of(raw)
    except ConfigError as error:
        found = checklist([("fail", "Settings", problem.message) for problem in error.problems])
        return [gr.skip(), gr.skip(), found, found, marks(error.problems)]
    failed = [check for check in preflight(config, (), parts.workbench.workspace, mode, third) if check.level == "fail"]
    if failed:
        found = checklist([(check.level, check.title, check.text) for check in failed])
        return [gr.skip(), gr.skip(), found, found, gr.skip()]
    name = title.strip() if title and title.strip() else parts.workbench.default_name(config, mode, preset)
    try:
        selection = parts.workbench.start(config, mode, name, too_long=third, preset=preset)
    except WorkbenchError as error:
        found = checklist([("fail", "Start", str(error))])
        return [gr.skip(), gr.skip(), found, found, gr.skip()]
    return [str(selection), go_to("monitor"), "", "", ""]
