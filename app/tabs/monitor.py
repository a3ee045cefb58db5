"""Monitor: a run, or all arms of an experiment, as they train."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.cards import alarm_notes, status_cards
from app.charts import draw, live_plots
from app.entries import Entry
from app.grouping import in_view, what_is_in_view
from app.html import checklist, empty, escape, figures, paragraph
from app.journals import file_signature
from app.measured import facts_table
from app.parts import ACT, QUIET, Live, Parts, Rendered, go_to, text_output
from app.pictures import samples_html
from app.samples import samples_of
from app.serve import publish
from app.workbench import RESUMABLE
from core.errors import WorkbenchError
from core.plots import PLOTS
from core.runs.cost import COST_FILE, FACTS_FILE

FIRST_PLOTS = ("chain_v", "chain_diversity", "drift_m1")
STEP_PLOTS = ("loss", "probability", "rollout_length")
MORE_PLOTS = ("drift_heat", "drift_m1_timestep", "rollout_drift", "grad_norm", "learning_rate")
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
        parts["monitor.resume"] = gr.Button("Resume", visible=False, scale=0, min_width=120, elem_id="resume")
        parts["monitor.compare"] = gr.Button("Compare", variant="primary", scale=0, min_width=130, elem_id="to-compare")
    parts["monitor.message"] = text_output("monitor-message")
    parts["monitor.alarms"] = text_output("alarms")
    parts["monitor.status"] = text_output("status")
    parts["monitor.facts"] = text_output("facts")
    gr.Markdown("## Samples", elem_classes=["rw-heading"])
    parts["monitor.samples"] = text_output("monitor-samples")
    gr.Markdown(
        "## Drift: do finished samples shrink, and do the model's own states leave the true path?",
        elem_classes=["rw-heading"],
    )
    with gr.Row(elem_classes=["rw-plots"]):
        for name in FIRST_PLOTS:
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    parts["monitor.live"] = text_output("plots-live")
    gr.Markdown("## Training", elem_classes=["rw-heading"])
    with gr.Row(elem_classes=["rw-plots"]):
        for name in STEP_PLOTS:
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    with (
        gr.Accordion("Drift by timestep and live, gradient norm, learning rate", open=False, elem_classes=["rw-fold"]),
        gr.Row(elem_classes=["rw-plots"]),
    ):
        for name in MORE_PLOTS:
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    with gr.Accordion("Log", open=False, elem_classes=["rw-fold"]):
        parts["monitor.log"] = text_output("log")
    _register(parts)


def _register(parts: Parts) -> None:
    chosen = [parts["selection"]]

    def live(name: str, outputs: Sequence[Any], render: Any) -> None:
        parts.lives.append(Live(f"monitor.{name}", "monitor", chosen, outputs, render))

    live("pick", [parts["monitor.pick"]], lambda known, picked: render_choices(parts, known, picked))
    status = [parts["monitor.status"], parts["monitor.resume"]]
    live("status", status, lambda known, picked: render_status(parts, known, picked))
    live("alarms", [parts["monitor.alarms"]], lambda known, picked: render_alarms(parts, known, picked))
    live("facts", [parts["monitor.facts"]], lambda known, picked: render_facts(parts, known, picked))
    live("live", [parts["monitor.live"]], lambda known, picked: render_live_plots(parts, known, picked))
    live("samples", [parts["monitor.samples"]], lambda known, picked: render_samples(parts, known, picked))
    for name in (*FIRST_PLOTS, *STEP_PLOTS, *MORE_PLOTS):
        live(name, [parts[f"monitor.{name}"]], lambda known, picked, name=name: render_plot(parts, known, picked, name))
    live("log", [parts["monitor.log"]], lambda known, picked: render_log(parts, known, picked))


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    shown = [parts["selection"], parts["monitor.message"]]
    parts["monitor.pick"].input(lambda picked: (picked, ""), parts["monitor.pick"], shown, **QUIET).then(
        **parts.chains["remember"]
    ).then(**parts.chains["tick"])
    parts["monitor.compare"].click(lambda: go_to("compare"), None, parts["tabs"], **ACT).then(**parts.chains["tick"])
    parts["monitor.resume"].click(
        lambda picked: resume(parts, picked), parts["selection"], parts["monitor.message"], **ACT
    ).then(**parts.chains["tick"])


def resume(parts: Parts, picked: str) -> str:
    """Goes on with what is missing; says what it does, or why it cannot."""
    try:
        return checklist([("pass", "Resumed", parts.workbench.resume(picked))])
    except WorkbenchError as error:
        return checklist([("fail", "Resume", str(error))])


def render_choices(parts: Parts, known: str, picked: str) -> Rendered:
    """The list to choose from."""
    found = parts.workbench.titles()
    signature = repr((found, picked))
    if signature == known:
        return known, None
    names = [name for _, name in found]
    return signature, [gr.Dropdown(choices=found, value=picked if picked in names else None)]


def render_status(parts: Parts, known: str, picked: str) -> Rendered:
    """How every training stands, and [Resume] where some of it is missing."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [empty(NOTHING), gr.Button(visible=False)]) if known != "none" else (known, None)
    html = status_cards(parts.workbench, entry)
    signature = f"{picked} {entry.label} {html_signature(html)}"
    if signature == known:
        return known, None
    return signature, [html, gr.Button(visible=entry.label in RESUMABLE)]


def render_alarms(parts: Parts, known: str, picked: str) -> Rendered:
    """Drift alarms, where there are any."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    signature = f"{picked} {file_signature(*(arm.folder.events_path for arm in entry.arms))}"
    if signature == known:
        return known, None
    return signature, [alarm_notes(parts.workbench.journals, entry.arms)]


def render_facts(parts: Parts, known: str, picked: str) -> Rendered:
    """What is in force and what it costs, an arm a column; nothing for a training without rollout."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    arms = in_view(entry)
    paths = [arm.folder.path / name for arm in arms for name in (COST_FILE, FACTS_FILE)]
    signature = f"{picked} {[arm.label for arm in arms]} {file_signature(*paths)}"
    if signature == known:
        return known, None
    return signature, [facts_table({arm.label: arm.folder for arm in arms})]


def render_live_plots(parts: Parts, known: str, picked: str) -> Rendered:
    """What the rollouts of the training itself tell, those plots only that there is something to draw in."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    signature = f"{picked} {file_signature(*(arm.folder.metrics_path for arm in entry.arms))}"
    if signature == known:
        return known, None
    records = series(parts, entry, False)
    names = live_plots(records)
    charts = parts.workbench.charts
    drawn = [charts.show(name, picked, signature, lambda: records, live=not entry.final) for name in names]
    own = " ".join(f"{name} {shown}" for name, (_, shown) in zip(names, drawn, strict=True)) if drawn else signature
    return (known, None) if own == known else (own, [figures(html for html, _ in drawn) if drawn else ""])


def html_signature(html: str) -> str:
    """Short text that changes with the HTML."""
    return hashlib.sha256(html.encode()).hexdigest()[:16]


def render_plot(parts: Parts, known: str, picked: str, name: str) -> Rendered:
    """One plot over all arms; a running training's is drawn anew every few seconds, not at every look."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [draw(name, {})]) if known != "none" else (known, None)
    is_drift = PLOTS[name].records == "drift"
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
    arms = in_view(entry)
    found = {arm.label: samples_of(arm.folder) for arm in arms}
    signature = f"{picked} {[(label, len(spots)) for label, spots in found.items()]}"
    if signature == known:
        return known, None
    publish(entry)
    note = what_is_in_view(entry)
    return signature, [(paragraph(note) if note else "") + samples_html(arms, found)]


def render_log(parts: Parts, known: str, picked: str) -> Rendered:
    """The end of each arm's log."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [empty("No log yet.")]) if known != "none" else (known, None)
    arms = in_view(entry)
    signature = f"{picked} {[arm.label for arm in arms]} {file_signature(*(arm.folder.log_path for arm in arms))}"
    if signature == known:
        return known, None
    return signature, ["".join(f"<h4>{escape(arm.label)}</h4>{log_tail(arm.folder.log_path)}" for arm in arms)]


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
