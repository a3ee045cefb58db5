"""Compare: arms side by side, in pictures of the same noise and in numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.comparison import MOST_ARMS, arms_of, curves_html, difference_html, numbers_html, verdict_html
from app.entries import Arm
from app.html import empty
from app.journals import file_signature
from app.parts import QUIET, Live, Parts, Rendered, text_output
from app.pictures import pair_outputs, prompts_text, samples_html
from app.samples import Spot, prompts_of, samples_of, seeds_of, steps_of
from app.serve import publish

PAIR = ("prompt", "step", "seed", "left", "right")
NOTHING = (
    "Choose an experiment, or two to six runs. Nothing trained yet? The demo on the Home tab makes a first comparison."
)


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    parts["compare.pick"] = gr.Dropdown(
        [],
        value=[],
        multiselect=True,
        max_choices=MOST_ARMS,
        label="An experiment, or two to six runs",
        interactive=True,
        filterable=False,
        elem_id="pick-compare",
    )
    parts["compare.verdict"] = text_output("verdict")
    with gr.Row(elem_classes=["rw-columns"]):
        _pair_view(parts)
        _pair_choice(parts)
    gr.Markdown("## All samples", elem_classes=["rw-heading"])
    parts["compare.grid"] = text_output("compare-grid")
    gr.Markdown("## Numbers", elem_classes=["rw-heading"])
    parts["compare.numbers"] = text_output("numbers")
    parts["compare.curves"] = text_output("curves")
    gr.Markdown("## What differs in the settings", elem_classes=["rw-heading"])
    parts["compare.difference"] = text_output("config-difference")
    pair = [parts[f"compare.{name}"] for name in PAIR]
    shown = [
        parts["compare.pick"],
        parts["compare.verdict"],
        *pair,
        *(parts[f"compare.{name}"] for name in ("slider", "side", "grid", "numbers", "curves", "difference")),
    ]
    inputs = [parts["selection"], parts["compare.pick"], *pair]
    parts.lives.append(Live("compare", "compare", inputs, shown, lambda known, *values: render(parts, known, *values)))


def _pair_view(parts: Parts) -> None:
    """Two arms' pictures over each other, with a divider that the keyboard moves too."""
    with gr.Column(scale=5, min_width=320):
        gr.Markdown("## One picture, two arms", elem_classes=["rw-heading"])
        parts["compare.slider"] = gr.ImageSlider(
            None,
            label="Left arm, right arm",
            show_label=False,
            interactive=False,
            max_height=448,
            buttons=["fullscreen"],
            type="filepath",
            format="png",
            elem_id="pair",
        )
        parts["compare.divider"] = gr.Slider(
            0, 100, 50, step=1, label="Divider (per cent from the left)", interactive=True, elem_id="divider"
        )


def _pair_choice(parts: Parts) -> None:
    """Which prompt, step, seed and arms, and the two pictures side by side."""
    with gr.Column(scale=4, min_width=320):
        gr.Markdown("## Which one", elem_classes=["rw-heading"])
        parts["compare.prompt"] = gr.Dropdown(
            [], label="Prompt", interactive=True, filterable=False, elem_id="pair-prompt"
        )
        with gr.Row(elem_classes=["rw-fields", "rw-fields-two"]):
            parts["compare.step"] = gr.Dropdown(
                [], label="Step (optimizer steps)", interactive=True, filterable=False, elem_id="pair-step"
            )
            parts["compare.seed"] = gr.Dropdown(
                [], label="Seed", interactive=True, filterable=False, elem_id="pair-seed"
            )
            parts["compare.left"] = gr.Dropdown(
                [], label="Left arm", interactive=True, filterable=False, elem_id="pair-left"
            )
            parts["compare.right"] = gr.Dropdown(
                [], label="Right arm", interactive=True, filterable=False, elem_id="pair-right"
            )
        parts["compare.side"] = text_output("side-by-side")


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    pair = [parts[f"compare.{name}"] for name in PAIR]
    parts["compare.pick"].input(**parts.chains["tick"])
    gr.on(
        [component.input for component in pair],
        lambda picked, *values: show_pair(parts, picked, *values),
        [parts["compare.pick"], *pair],
        [parts["compare.slider"], parts["compare.side"], parts["compare.grid"]],
        **QUIET,
    )
    parts["compare.divider"].input(
        lambda place: gr.ImageSlider(slider_position=place),
        parts["compare.divider"],
        parts["compare.slider"],
        trigger_mode="always_last",
        **QUIET,
    )


def choose(names: Sequence[str], selection: str, picked: Sequence[str], known_selection: str | None) -> list[str]:
    """What is compared: what the page looks at once that changes, else the choice, at first the newest experiment."""
    if known_selection != selection and selection in names:
        return [selection]
    kept = [name for name in picked if name in names]
    newest = [name for name in names if name.startswith("experiments/")][:1]
    return newest if known_selection is None and not kept else kept


def render(parts: Parts, known: str, selection: str, picked: list[str] | None, *pair: Any) -> Rendered:
    """Everything on the tab, when the choice or one of its files has changed."""
    found = parts.workbench.titles()
    before = json.loads(known) if known else None
    chosen = choose([name for _, name in found], selection, picked or [], before[0] if before else None)
    entries, arms = arms_of(parts.workbench, chosen)
    pictures = {arm.label: samples_of(arm.folder) for arm in arms}
    records = file_signature(*(path for arm in arms for path in (arm.folder.drift_path, arm.folder.metrics_path)))
    shown = [chosen, found, [len(spots) for spots in pictures.values()], [entry.label for entry in entries]]
    signature = json.dumps([selection, shown, records if all(entry.final for entry in entries) else ""])
    if known and json.loads(signature) == before:
        return known, None
    pick = gr.update(choices=found, value=chosen)
    if not arms:
        return signature, [pick, *_blank()]
    for entry in entries:
        publish(entry)
    values = _pair_choices(arms, pictures, pair)
    prompt, step, seed, left, right = (value for _, value in values)
    return signature, [
        pick,
        verdict_html(entries, arms),
        *(gr.Dropdown(choices=options, value=value) for options, value in values),
        *pair_outputs(arms, pictures, prompt, step, seed, left, right),
        samples_html(arms, pictures, seed),
        numbers_html(parts.workbench, arms),
        curves_html(parts.workbench, arms, repr(chosen), records),
        difference_html(arms),
    ]


def _blank() -> list[Any]:
    nothing = [gr.Dropdown(choices=[], value=None) for _ in range(5)]
    return [
        empty(NOTHING),
        *nothing,
        None,
        "",
        empty("No samples to show."),
        empty("No numbers to show."),
        "",
        empty("Nothing to compare."),
    ]


def _pair_choices(
    arms: Sequence[Arm], found: dict[str, dict[Spot, Path]], now: Sequence[Any]
) -> list[tuple[list, Any]]:
    """Choices and value of prompt, step, seed, left and right; what was chosen stays where it still can be."""
    spots = list(found.values())
    texts = prompts_text(arms)
    prompts = [(texts[place] if place < len(texts) else f"prompt {place + 1}", place) for place in prompts_of(spots)]
    steps, seeds, labels = steps_of(spots), seeds_of(spots), [arm.label for arm in arms]
    common = [step for step in steps if all(any(spot.step == step for spot in samples) for samples in spots)]
    plain: list[tuple[list, Any]] = [
        (prompts, prompts[0][1] if prompts else None),
        (steps, common[-1] if common else (steps[-1] if steps else None)),
        (seeds, seeds[0] if seeds else None),
        (labels, labels[0]),
        (labels, labels[1] if len(labels) > 1 else labels[0]),
    ]
    chosen = []
    for (options, value), current in zip(plain, now, strict=True):
        values = [option[1] if isinstance(option, tuple) else option for option in options]
        chosen.append((options, current if current in values else value))
    return chosen


def show_pair(
    parts: Parts, picked: list[str] | None, prompt: Any, step: Any, seed: Any, left: Any, right: Any
) -> list[Any]:
    """Slider, side by side and grid for another choice."""
    entries, arms = arms_of(parts.workbench, picked)
    if not arms:
        return [None, "", empty("No samples to show.")]
    for entry in entries:
        publish(entry)
    found = {arm.label: samples_of(arm.folder) for arm in arms}
    return [*pair_outputs(arms, found, prompt, step, seed, left, right), samples_html(arms, found, seed)]
