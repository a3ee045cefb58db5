"""What an inspection found out, in words, tables and plots. Short paths and free-running ones never share a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.audit import audit_html, misfit_html
from app.html import Level, checklist, escape, figures, paragraph, progress, sentences
from app.metrics import metrics_table
from app.workbench import Workbench
from core.models.lora_path import SUFFIX
from core.runs.alarms import alarms_at, alarms_of, reference_of
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.inspections import Inspection, request_of
from core.runs.metrics import FREE, SAMPLES, SHORT
from core.runs.status import State

SHORT_PLOTS = ("drift_m1_timestep", "drift_lag", "drift_epsilon", "drift_recovery", "drift_restoring", "drift_bands")
FREE_PLOTS = ("drift_free",)
FEWEST_PROBES = 2
"""Probes over the training below which there is no map over its steps."""
BASE, ADAPTER = "Base model", "With the LoRA"


def label_of(found: Inspection) -> str:
    """What plots call the thing that was inspected."""
    return "base model" if found.what == "base" else found.target.rpartition("/")[2].removesuffix(SUFFIX)


def state_html(folder: RunFolder, state: State) -> str:
    """Progress with an end, or how it ended; nothing for one that is done."""
    asked = request_of(folder)
    name = folder.name if asked is None else asked[1]
    if state.label == "done":
        return ""
    if state.final:
        hint = f"<p><strong>What to do:</strong> {escape(state.hint)}</p>" if state.hint else ""
        cause = (
            f"<strong>The inspection of {escape(name)} {escape(state.label)}</strong><pre>{escape(state.message)}</pre>"
        )
        return f'<div class="rw-problems" role="alert">{cause}{hint}</div>'
    text = f"{state.message} ({state.status.progress:.0%})".replace("%", " %")
    words = f"Inspecting {name}: {text}"
    return f'<div role="status">{paragraph(words)}{progress(state.status.progress, words)}</div>'


def summary_html(workbench: Workbench, found: Inspection) -> str:
    """What was inspected and how, alarms, and what people should know about it."""
    what = {"run": f"Training {found.target}", "file": f"LoRA file {label_of(found)}", "base": "Base model"}[found.what]
    alarms: list[tuple[Level, str, str]] = [("warn", "Drift alarm", f"{text}.") for text in _alarms(workbench, found)]
    lines = [f"Base model: {found.base_model}.", *_how(found.facts)]
    head = f'<div class="rw-heading"><h3>{escape(what)}</h3></div>'
    return f"{head}{sentences(lines)}{checklist(alarms) if alarms else ''}"


def _how(facts: Mapping[str, object]) -> list[str]:
    """How it was measured, a sentence; none where nothing was."""
    names = ("pairs", "samples", "inference_steps", "guidance", "seed", "kind")
    if not all(name in facts for name in names):
        return []
    pairs, samples, steps, guidance, seed, kind = (facts[name] for name in names)
    drawn = f"{samples} finished samples, {steps} inference steps, guidance {guidance}, noise of seed {seed}"
    return [f"{pairs} pairs of picture and noise, {drawn}; the network predicts {kind}."]


def _alarms(workbench: Workbench, found: Inspection) -> list[str]:
    """Limits that the LoRA passes: against teacher forcing where that was measured alike, else the base model."""
    full = records_of(found)
    if set(full) != {BASE, ADAPTER}:
        return []
    if found.what != "run":
        return [alarm.text for alarm in alarms_at(full[ADAPTER], full[BASE], "the base model")]
    run = RunFolder(found.folder.path.parent)
    reference, journals = reference_of(run), workbench.journals
    beside = [] if reference is None else journals.drift(reference.drift_path)
    alarms = alarms_of(journals.drift(run.drift_path), beside)
    return [alarm.text for alarm in alarms if alarm.step == full[ADAPTER].step]


def audit_part(found: Inspection) -> str:
    """The file's audit, and what of it does not fit; empty for a base model."""
    if found.audit is None and not found.problems:
        return ""
    inner = misfit_html(found.problems) if found.problems else ""
    inner += audit_html(found.audit, found.notes) if found.audit is not None else ""
    return _part("What is in the LoRA", "", inner)


def records_of(found: Inspection) -> dict[str, DriftRecord]:
    """The full measurements by heading, of the base model and with the LoRA."""
    full = [record for record in found.records() if record.scope == "full"]
    of_base, own = ([record for record in full if record.base == base] for base in (True, False))
    return {name: records[-1] for name, records in ((BASE, of_base), (ADAPTER, own)) if records}


def training_part(workbench: Workbench, found: Inspection) -> str:
    """M1 over the run's own probes while it trained; empty where there were none."""
    if found.what != "run":
        return ""
    records = workbench.journals.drift(RunFolder(found.folder.path.parent).drift_path)
    if len({record.step for record in records if record.m1 and not record.base}) < FEWEST_PROBES:
        return ""
    shown = _plots(workbench, ("drift_heat",), found, records, "training")
    return _part("While it trained", "Short paths at every probe, from the first step to the last.", shown)


def short_part(workbench: Workbench, found: Inspection) -> str:
    """Metrics and plots of short self-generated paths, and of these alone."""
    own = metrics_table(SHORT, records_of(found), "Short paths: means over their timesteps")
    if not own:
        return ""
    help = "The model walks a few steps from the true path, each end paired with the true state there."
    return _part("Short paths", help, own + _plots(workbench, SHORT_PLOTS, found, found.records(), "short"))


def free_part(workbench: Workbench, found: Inspection) -> str:
    """Metrics and plots of the chain from pure noise, and of it alone."""
    own = metrics_table(FREE, records_of(found), "Free-running: the whole chain from pure noise")
    if not own:
        return ""
    help = "The model walks all the way from pure noise, with no true state to pair it with: read means only."
    return _part("Free-running", help, own + _plots(workbench, FREE_PLOTS, found, found.records(), "free"))


def samples_part(found: Inspection) -> str:
    """Scores of finished samples."""
    own = metrics_table(SAMPLES, records_of(found), "Finished samples against the training pictures")
    return _part("Finished samples", "What people see, in numbers.", own) if own else ""


def _plots(
    workbench: Workbench, names: Sequence[str], found: Inspection, records: Sequence[DriftRecord], kind: str
) -> str:
    subject, signature = f"{found.folder.path} {kind}", f"{found.created} {len(records)}"
    series = {label_of(found): records}
    return figures(workbench.charts.show(name, subject, signature, lambda: series)[0] for name in names)


def _part(title: str, help: str, inner: str) -> str:
    note = paragraph(help) if help else ""
    return f'<section class="rw-part"><div class="rw-heading"><h2>{escape(title)}</h2></div>{note}{inner}</section>'
