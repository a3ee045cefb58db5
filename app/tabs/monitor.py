"""Monitor: a run, or all arms of an experiment, as they train."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.charts import draw
from app.entries import Entry
from app.html import empty, escape, figures
from app.journals import file_signature
from app.measured import facts_table
from app.parts import ACT, QUIET, Live, Parts, Rendered, go_to, text_output
from app.pictures import samples_html
from app.samples import samples_of
from app.serve import publish
from app.view import status_cards
from core.runs.cost import COST_FILE, FACTS_FILE

STEP_PLOTS = ("loss", "probability", "rollout_length", "rollout_drift")
DRIFT_PLOTS = ("drift_m1", "drift_v", "drift_m1_timestep")
MORE_PLOTS = ("grad_norm", "learning_rate")
LIVE_PLOTS = {
    "rollout_v": "rollout_v",
    "rollout_g2": "rollout_g2",
    "posterior_entropy": "posterior_entropy",
    "posterior_nearest": "posterior_nearest",
    "reflexflow": "reflexflow_direction",
    "reflexflow_spread": "reflexflow_spread",
}
"""Plots that few trainings have data for, and the record's field that tells."""
LOG_BYTES = 6000
NOTHING = "Nothing to show yet: start a training on the Launch tab, or choose one above."


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    with gr.Row(elem_classes=["rw-bar"]):
        parts["monitor.pick"] = gr.Dropdown(
            [],
            value=None,
            label="Run or experiment",
            interactive=True,
            filterable=False,
            elem_id="pick-run",
            scale=3,
            min_width=240,
        )
        parts["monitor.compare"] = gr.Button("Compare", variant="primary", scale=0, min_width=130, elem_id="to-compare")
    parts["monitor.status"] = text_output("status")
    parts["monitor.facts"] = text_output("facts")
    gr.Markdown("## Samples", elem_classes=["rw-heading"])
    parts["monitor.samples"] = text_output("monitor-samples")
    gr.Markdown("## Drift: how far the model's own states lie from the true path", elem_classes=["rw-heading"])
    with gr.Row(elem_classes=["rw-plots"]):
        for name in ("drift_m1", "drift_v", "rollout_drift"):
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    parts["monitor.live"] = text_output("plots-live")
    gr.Markdown("## Training", elem_classes=["rw-heading"])
    with gr.Row(elem_classes=["rw-plots"]):
        for name in ("loss", "probability", "rollout_length"):
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    with (
        gr.Accordion("Drift by timestep, gradient norm, learning rate", open=False, elem_classes=["rw-fold"]),
        gr.Row(elem_classes=["rw-plots"]),
    ):
        for name in ("drift_m1_timestep", *MORE_PLOTS):
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    with gr.Accordion("Log", open=False, elem_classes=["rw-fold"]):
        parts["monitor.log"] = text_output("log")
    _register(parts)


def _register(parts: Parts) -> None:
    chosen = [parts["selection"]]

    def live(name: str, outputs: Sequence[Any], render: Any) -> None:
        parts.lives.append(Live(f"monitor.{name}", "monitor", chosen, outputs, render))

    live("pick", [parts["monitor.pick"]], lambda known, picked: render_choices(parts, known, picked))
    live("status", [parts["monitor.status"]], lambda known, picked: render_status(parts, known, picked))
    live("facts", [parts["monitor.facts"]], lambda known, picked: render_facts(parts, known, picked))
    live("live", [parts["monitor.live"]], lambda known, picked: render_live_plots(parts, known, picked))
    live("samples", [parts["monitor.samples"]], lambda known, picked: render_samples(parts, known, picked))
    for name in (*STEP_PLOTS, *DRIFT_PLOTS, *MORE_PLOTS):
        live(name, [parts[f"monitor.{name}"]], lambda known, picked, name=name: render_plot(parts, known, picked, name))
    live("log", [parts["monitor.log"]], lambda known, picked: render_log(parts, known, picked))


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    parts["monitor.pick"].input(lambda picked: picked, parts["monitor.pick"], parts["selection"], **QUIET).then(
        **parts.chains["remember"]
    ).then(**parts.chains["tick"])
    parts["monitor.compare"].click(lambda: go_to("compare"), None, parts["tabs"], **ACT).then(**parts.chains["tick"])


def render_choices(parts: Parts, known: str, picked: str) -> Rendered:
    """The list to choose from."""
    found = parts.workbench.titles()
    signature = repr((found, picked))
    if signature == known:
        return known, None
    names = [name for _, name in found]
    return signature, [gr.Dropdown(choices=found, value=picked if picked in names else None)]


def render_status(parts: Parts, known: str, picked: str) -> Rendered:
    """A card an arm."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [empty(NOTHING)]) if known != "none" else (known, None)
    html = status_cards(parts.workbench, entry)
    return (html_signature(html), [html]) if html_signature(html) != known else (known, None)


def render_facts(parts: Parts, known: str, picked: str) -> Rendered:
    """What is in force and what it costs, an arm a column; nothing for a training without rollout."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    paths = [arm.folder.path / name for arm in entry.arms for name in (COST_FILE, FACTS_FILE)]
    signature = f"{picked} {file_signature(*paths)}"
    if signature == known:
        return known, None
    return signature, [facts_table({arm.label: arm.folder for arm in entry.arms})]


def render_live_plots(parts: Parts, known: str, picked: str) -> Rendered:
    """What the rollouts of the training itself tell, those plots only that there is something to draw in."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    signature = f"{picked} {file_signature(*(arm.folder.metrics_path for arm in entry.arms))}"
    if signature == known:
        return known, None
    records = series(parts, entry, False)
    names = [name for name, field in LIVE_PLOTS.items() if _is_recorded(records, field)]
    charts = parts.workbench.charts
    drawn = [charts.show(name, picked, signature, lambda: records, live=not entry.final) for name in names]
    own = " ".join(f"{name} {shown}" for name, (_, shown) in zip(names, drawn, strict=True)) if drawn else signature
    return (known, None) if own == known else (own, [figures(html for html, _ in drawn) if drawn else ""])


def _is_recorded(records: dict[str, list], field: str) -> bool:
    return any(getattr(record, field) is not None for arm in records.values() for record in arm)


def html_signature(html: str) -> str:
    """Short text that changes with the HTML."""
    return hashlib.sha256(html.encode()).hexdigest()[:16]


def render_plot(parts: Parts, known: str, picked: str, name: str) -> Rendered:
    """One plot over all arms; a running training's is drawn anew every few seconds, not at every look."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [draw(name, {})]) if known != "none" else (known, None)
    is_drift = name in DRIFT_PLOTS
    paths = [arm.folder.drift_path if is_drift else arm.folder.metrics_path for arm in entry.arms]
    signature = f"{picked} {file_signature(*paths)}"
    if signature == known:
        return known, None
    html, drawn = parts.workbench.charts.show(
        name, picked, signature, lambda: series(parts, entry, is_drift), live=not entry.final
    )
    return (known, None) if drawn == known else (drawn, [html])


def series(parts: Parts, entry: Entry, is_drift: bool) -> dict[str, list]:
    """Records by arm."""
    journals = parts.workbench.journals
    if is_drift:
        return {arm.label: journals.drift(arm.folder.drift_path) for arm in entry.arms}
    return {arm.label: journals.steps(arm.folder.metrics_path) for arm in entry.arms}


def render_samples(parts: Parts, known: str, picked: str) -> Rendered:
    """Prompt by prompt: a line an arm, a column a step; the first seed."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [empty("No samples yet.")]) if known != "none" else (known, None)
    found = {arm.label: samples_of(arm.folder) for arm in entry.arms}
    signature = f"{picked} {[(label, len(spots)) for label, spots in found.items()]}"
    if signature == known:
        return known, None
    publish(entry)
    return signature, [samples_html(entry.arms, found)]


def render_log(parts: Parts, known: str, picked: str) -> Rendered:
    """The end of each arm's log."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [empty("No log yet.")]) if known != "none" else (known, None)
    signature = f"{picked} {file_signature(*(arm.folder.log_path for arm in entry.arms))}"
    if signature == known:
        return known, None
    return signature, ["".join(f"<h4>{escape(arm.label)}</h4>{log_tail(arm.folder.log_path)}" for arm in entry.arms)]


def log_tail(path: Path) -> str:
    """The last lines that a process printed."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - LOG_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return empty("It has printed nothing yet.")
    lines = [line.rsplit("\r", 1)[-1] for line in text.splitlines()]
    return (
        f'<pre class="rw-log" tabindex="0">{escape(chr(10).join(lines[-60:]))}</pre>'
        if text.strip()
        else empty("It has printed nothing yet.")
    )
