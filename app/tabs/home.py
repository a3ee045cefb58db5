"""Home: what this is, the way in, and what was trained before."""

from __future__ import annotations

import gradio as gr

from app.doctor import examine
from app.form import values_of
from app.journals import file_signature
from app.parts import ACT, Live, Parts, Rendered, go_to, text_output
from app.view import entry_list
from core.config.presets import DEFAULT_PRESET
from core.runs.lock import any_in_progress

INTRODUCTION = """
## What does rollout change?
Train the same DreamBooth LoRA **with** scheduled sampling (rollout) and **without** it: the same pictures, noises and
seeds. Then judge the difference by eye and by numbers.
"""
DEMO_NOTE = (
    "The demo trains a small model that comes with the workbench: two cores, no GPU, no download, a few minutes."
)
MACHINE_NOTE = (
    "Packages, device, precision, disk, workspace and stale runs, each with what to do. It loads the model libraries "
    "in a process of its own, which takes some seconds."
)
SHOWN = 8
"""Of the newest trainings; the others are counted."""

DIAGRAM_TEXT = (
    "Two ways from noise to a picture. Teacher-forced training always starts from states of the true path. "
    "With rollout the model first walks some steps by itself, drifts off the path, and learns to find back."
)
DIAGRAM = f"""
<figure class="rw-diagram"><svg role="img" viewBox="0 0 470 188" aria-label="{DIAGRAM_TEXT}">
<path class="rw-true" d="M28 42 C 130 50, 190 120, 440 138"/>
<path class="rw-own" d="M112 63 C 160 66, 205 68, 262 82"/>
<path class="rw-back" d="M262 82 C 330 100, 370 126, 432 136"/>
<path class="rw-gap" d="M262 86 L 262 109"/>
<circle class="rw-dot" cx="28" cy="42" r="5"/><circle class="rw-dot" cx="112" cy="63" r="5"/>
<circle class="rw-dot" cx="262" cy="114" r="5"/><circle class="rw-dot" cx="440" cy="138" r="5"/>
<circle class="rw-dot-own" cx="160" cy="65" r="4"/><circle class="rw-dot-own" cx="211" cy="71" r="4"/>
<circle class="rw-dot-own" cx="262" cy="82" r="5.5"/>
<text x="18" y="26">noise</text><text x="404" y="166">picture</text>
<text x="150" y="46" class="rw-own-text">rollout: the model's own steps</text>
<text x="120" y="140">teacher-forced: the true path</text><text x="272" y="101" class="rw-own-text">drift</text>
</svg><figcaption>Rollout shows the model the states that it meets when it samples.</figcaption></figure>
"""


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    with gr.Row(elem_classes=["rw-hero"]):
        with gr.Column(scale=5, min_width=320):
            gr.Markdown(INTRODUCTION, elem_classes=["rw-lead"])
            with gr.Row(elem_classes=["rw-actions"]):
                parts["home.demo"] = gr.Button(
                    "Try the demo", variant="primary", size="lg", scale=0, min_width=170, elem_id="try-demo"
                )
                parts["home.own"] = gr.Button(
                    "Use my own pictures", size="lg", scale=0, min_width=190, elem_id="own-pictures"
                )
                parts["home.compare"] = gr.Button("Compare", size="lg", scale=0, min_width=120, elem_id="home-compare")
            gr.Markdown(DEMO_NOTE, elem_classes=["rw-note"])
        with gr.Column(scale=4, min_width=320):
            gr.HTML(DIAGRAM)
    gr.Markdown("## Recent trainings", elem_classes=["rw-heading"])
    parts["home.list"] = text_output("home-list")
    with gr.Accordion("This machine", open=False, elem_classes=["rw-fold"], elem_id="machine"):
        gr.Markdown(MACHINE_NOTE, elem_classes=["rw-note"])
        with gr.Row(elem_classes=["rw-actions"]):
            parts["home.check"] = gr.Button("Check this machine", size="sm", scale=0, min_width=170, elem_id="doctor")
        parts["home.doctor"] = text_output("doctor-found")
    parts.lives.append(Live("home", "home", [], [parts["home.list"]], lambda known: render_list(parts, known)))


def render_list(parts: Parts, known: str) -> Rendered:
    """The newest trainings, when one was added, has changed its state, or lost its process."""
    workspace = parts.workbench.workspace
    runs, experiments = workspace.runs_dir, workspace.experiments_dir
    said = [*runs.glob("*/status.json"), *experiments.glob("*/status.json"), *experiments.glob("*/*/status.json")]
    signature = f"{any_in_progress(workspace.root)} {file_signature(runs, experiments, *sorted(said))}"
    if signature == known:
        return known, None
    return signature, [entry_list(*parts.workbench.recent(SHOWN))]


def wire(parts: Parts) -> None:
    """Binds the tab's events."""

    def try_demo() -> list:
        config = parts.workbench.preset(DEFAULT_PRESET).config
        return [*values_of(config), DEFAULT_PRESET, "", "ab", "", go_to("launch")]

    once = {**ACT, "concurrency_limit": 1}  # each examination loads all libraries
    parts["home.check"].click(lambda: examine(parts.workbench.workspace.root), None, parts["home.doctor"], **once)
    demo = parts["home.demo"].click(
        try_demo,
        None,
        [
            *parts.options,
            *(parts[f"configure.{slot}"] for slot in ("preset", "imported")),
            *(parts[f"launch.{slot}"] for slot in ("mode", "name")),
            parts["tabs"],
        ],
        **ACT,
    )
    demo.then(**parts.chains["review"]).then(**parts.chains["preview"]).then(**parts.chains["keep"])
    parts["home.own"].click(lambda: go_to("data"), None, parts["tabs"], **ACT)
    parts["home.compare"].click(lambda: go_to("compare"), None, parts["tabs"], **ACT)
