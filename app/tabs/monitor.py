"""Monitor: a run, or all arms of an experiment, as they train."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app import retry
from app.cards import alarm_notes, happenings, status_cards
from app.charts import draw, live_plots
from app.control import sample_now, save_now
from app.entries import Entry
from app.grouping import in_view, what_is_in_view
from app.html import checklist, empty, escape, figures, paragraph
from app.journals import file_signature
from app.measured import facts_table
from app.parts import ACT, QUIET, Live, Parts, Rendered, go_to, text_output
from app.pictures import samples_html
from app.samples import samples_of
from app.serve import publish
from app.workbench import RESUMABLE, Workbench
from core.errors import WorkbenchError
from core.plots import PLOTS
from core.runs.cost import COST_FILE, FACTS_FILE
from core.runs.log import log_tail

FIRST_PLOTS = ("chain_v", "chain_diversity", "drift_m1")
STEP_PLOTS = ("loss", "probability", "rollout_length")
MORE_PLOTS = ("drift_heat", "drift_m1_timestep", "rollout_drift", "grad_norm", "learning_rate")
MORE_FOLD, LOG_FOLD = "more-plots", "log-fold"
FOLDS = {MORE_FOLD: "Drift by timestep and live, gradient norm, learning rate", LOG_FOLD: "Log"}
LOG_BYTES, LOG_LINES = 6000, 60
ACTS = {"save": "Save now", "sample": "Sample now", "resume": "Resume"}
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
        for name, text in ACTS.items():
            parts[f"monitor.{name}"] = gr.Button(text, visible=False, scale=0, min_width=120, elem_id=name)
        retry.build(parts)
        parts["monitor.compare"] = gr.Button("Compare", variant="primary", scale=0, min_width=130, elem_id="to-compare")
    parts["monitor.message"] = text_output("monitor-message")
    parts["monitor.events"] = text_output("events")
    parts["monitor.alarms"] = text_output("alarms")
    gr.Markdown("## Trainings", elem_classes=["rw-heading", "rw-unseen"])
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
    with _fold(parts, MORE_FOLD), gr.Row(elem_classes=["rw-plots"]):
        for name in MORE_PLOTS:
            parts[f"monitor.{name}"] = text_output(f"plot-{name}", elem_classes=["rw-plot"])
    with _fold(parts, LOG_FOLD):
        parts["monitor.log"] = text_output("log")
    _register(parts)


def _fold(parts: Parts, name: str) -> gr.Accordion:
    """What is closed at first: nothing in it is drawn or sent until it is opened."""
    made = gr.Accordion(FOLDS[name], open=False, elem_classes=["rw-fold"], elem_id=name)
    parts[f"monitor.{name}"] = made
    return made


def _register(parts: Parts) -> None:
    chosen = [parts["selection"]]

    def live(name: str, outputs: Sequence[Any], render: Any, fold: str = "") -> None:
        parts.lives.append(Live(f"monitor.{name}", "monitor", chosen, outputs, render, fold))

    live("pick", [parts["monitor.pick"]], lambda known, picked: render_choices(parts, known, picked))
    acts = [parts[f"monitor.{name}"] for name in ACTS]
    live("status", [parts["monitor.status"]], lambda known, picked: render_status(parts, known, picked))
    live("acts", acts, lambda known, picked: render_acts(parts, known, picked))
    live("events", [parts["monitor.events"]], lambda known, picked: render_events(parts, known, picked))
    live("alarms", [parts["monitor.alarms"]], lambda known, picked: render_alarms(parts, known, picked))
    live("facts", [parts["monitor.facts"]], lambda known, picked: render_facts(parts, known, picked))
    live("live", [parts["monitor.live"]], lambda known, picked: render_live_plots(parts, known, picked))
    live("samples", [parts["monitor.samples"]], lambda known, picked: render_samples(parts, known, picked))
    for name in (*FIRST_PLOTS, *STEP_PLOTS, *MORE_PLOTS):
        plot, fold = [parts[f"monitor.{name}"]], MORE_FOLD if name in MORE_PLOTS else ""
        live(name, plot, lambda known, picked, name=name: render_plot(parts, known, picked, name), fold)
    live("log", [parts["monitor.log"]], lambda known, picked: render_log(parts, known, picked), LOG_FOLD)


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    for name in FOLDS:
        parts[f"monitor.{name}"].expand(**parts.chains["tick"])
    shown = [parts["selection"], parts["monitor.message"]]
    parts["monitor.pick"].input(lambda picked: (picked, ""), parts["monitor.pick"], shown, **QUIET).then(
        **parts.chains["remember"]
    ).then(**parts.chains["tick"])
    parts["monitor.compare"].click(lambda: go_to("compare"), None, parts["tabs"], **ACT).then(**parts.chains["tick"])
    retry.wire(parts)
    works = {"save": save_now, "sample": sample_now, "resume": Workbench.resume}
    for name, work in works.items():
        parts[f"monitor.{name}"].click(
            lambda picked, name=name, work=work: act(ACTS[name], lambda: work(parts.workbench, picked)),
            parts["selection"], parts["monitor.message"], **ACT,
        ).then(**parts.chains["tick"])  # fmt: skip


def act(title: str, work: Callable[[], str]) -> str:
    """Does what a button says; tells what it did, or why it cannot."""
    try:
        return checklist([("pass", title, work())])
    except WorkbenchError as error:
        return checklist([("fail", title, str(error))])


def render_choices(parts: Parts, known: str, picked: str) -> Rendered:
    """The list to choose from."""
    found = parts.workbench.titles()
    signature = repr((found, picked))
    if signature == known:
        return known, None
    names = [name for _, name in found]
    return signature, [gr.Dropdown(choices=found, value=picked if picked in names else None)]


def render_status(parts: Parts, known: str, picked: str) -> Rendered:
    """How every training stands."""
    entry = parts.workbench.entry(picked)
    html = empty(NOTHING) if entry is None else status_cards(parts.workbench, entry)
    signature = html_signature(html)
    return (known, None) if signature == known else (signature, [html])


def render_acts(parts: Parts, known: str, picked: str) -> Rendered:
    """The buttons for what a training does, or where some of it is missing."""
    entry = parts.workbench.entry(picked)
    works = entry is not None and entry.active is not None and entry.label in ("running", "paused")
    resumable = entry is not None and entry.label in RESUMABLE
    shown = [resumable if name == "resume" else works for name in ACTS]
    signature = str(shown)
    return (known, None) if signature == known else (signature, [gr.Button(visible=one) for one in shown])


def render_events(parts: Parts, known: str, picked: str) -> Rendered:
    """What was last done on request."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        return ("none", [""]) if known != "none" else (known, None)
    signature = f"{picked} {file_signature(*(arm.folder.events_path for arm in entry.arms))}"
    if signature == known:
        return known, None
    return signature, [happenings(parts.workbench.journals, entry.arms)]


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

    def plots() -> str:
        records = series(parts, entry, False)
        drawn = [draw(name, records) for name in live_plots(records)]
        return figures(drawn) if drawn else ""

    html, drawn = parts.workbench.charts.kept(("live", picked), signature, plots, live=not entry.final)
    return (known, None) if drawn == known else (drawn, [html])


def html_signature(html: str) -> str:
    """Short text that changes with the HTML."""
    return hashlib.sha256(html.encode()).hexdigest()[:16]


def render_plot(parts: Parts, known: str, picked: str, name: str) -> Rendered:
    """One plot over all arms; a running training's is drawn anew every few seconds, not at every look."""
    entry = parts.workbench.entry(picked)
    if entry is None:
        html, drawn = parts.workbench.charts.show(name, "", "none", dict)
        return (known, None) if drawn == known else (drawn, [html])
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
    return signature, ["".join(f"<h3>{escape(arm.label)}</h3>{log_html(arm.folder.log_path)}" for arm in arms)]


def log_html(path: Path) -> str:
    """The last lines that a process printed."""
    lines = log_tail(path, LOG_LINES, LOG_BYTES)
    if not lines:
        return empty("It has printed nothing yet.")
    return f'<pre class="rw-log" tabindex="0">{escape(chr(10).join(lines))}</pre>'
