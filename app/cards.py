"""How the trainings of a run or an experiment stand: a card each where they are few, a table of seeds where many."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from app.entries import Arm, Entry
from app.grouping import FEW, arm_and_seed, names_and_seeds
from app.html import Level, checklist, chip, escape, paragraph, progress, sentences, table
from app.journals import Journals
from app.view import bar, doing, rate_text
from app.workbench import Workbench
from core.runs.alarms import KIND, SAMPLE_KIND
from core.runs.records import Event

TOLD = 3
"""So many failures are told with their cause, the others with their names; so many events are told at all."""
HAPPENINGS = ("pause", "continue", "save", "sample", "resume", "signal", "lost")
WHAT_TO_DO = (
    "Read it beside the samples: rollouts may be too frequent or too long. Lower the rollout probability or K, take "
    "target = posterior, or stop earlier and keep the checkpoint before it."
)
BLANK_WHAT_TO_DO = (
    "A black sample mostly comes of numbers that overflow: take mixed_precision = no or bf16. A flat one comes of a "
    "training that has gone astray: lower learning_rate, or go back to a checkpoint before it."
)


def status_cards(workbench: Workbench, entry: Entry) -> str:
    """State, phase, progress and rate of every training; cause and what to do where one failed."""
    troubled = [arm for arm in entry.arms if arm.state.label in {"failed", "lost"}]
    said = entry.message and entry.label in {"failed", "lost", "stopped"} and not troubled
    above = paragraph(entry.message) if entry.selection.is_experiment and said else ""
    if len(entry.arms) <= FEW:
        return f'{above}<div class="rw-arms">{"".join(_card(workbench, arm) for arm in entry.arms)}</div>'
    large = [arm for arm in entry.arms if arm.state.live] + troubled[:TOLD]
    rest = troubled[TOLD:]
    more = paragraph(f"Failed or lost too: {', '.join(arm.label for arm in rest)}.") if rest else ""
    shown = f'<div class="rw-arms">{"".join(_card(workbench, arm) for arm in large)}</div>' if large else ""
    return f"{above}{_tally(entry.arms)}{shown}{more}{_matrix(entry.arms)}"


def _card(workbench: Workbench, arm: Arm) -> str:
    state, status = arm.state, arm.state.status
    steps = f"step {status.step} of {status.total}" if status.total else "not begun"
    if state.label in {"failed", "lost"}:
        hint = f"<p><strong>What to do:</strong> {escape(state.hint)}</p>" if state.hint else ""
        why = "Why it failed" if state.label == "failed" else "What is known"
        cause = f"<strong>{why}</strong><pre>{escape(state.message)}</pre>"
        detail = f'<div class="rw-problems" role="alert">{cause}{hint}</div>'
    else:
        detail = paragraph(" · ".join(part for part in (doing(arm), rate_text(workbench, arm)) if part))
    return (
        f'<section class="rw-arm"><header><h3>{escape(arm.label)}</h3>{chip(state.label)}</header>'
        f'<p class="rw-number">{escape(steps)}</p>{progress(bar(arm), f"{arm.label}: {steps}")}{detail}</section>'
    )


def _tally(arms: Sequence[Arm]) -> str:
    """How many of the trainings are done, with a bar; those under way count in part."""
    done = sum(arm.state.label == "done" for arm in arms)
    text = f"{done} of {len(arms)} trainings done"
    share = sum(bar(arm) for arm in arms) / len(arms)
    return f'<div class="rw-tally"><span class="rw-number">{escape(text)}</span>{progress(share, text)}</div>'


def _matrix(arms: Sequence[Arm]) -> str:
    """A line a seed, a column an arm, the state in a word."""
    names, seeds = names_and_seeds(arms)
    cells = {arm_and_seed(arm.label): arm for arm in arms}
    rows = [
        [f"seed {seed}" if seed is not None else "", *(_cell(cells.get((name, seed))) for name in names)]
        for seed in seeds
    ]
    return table(["", *names], rows, "State of each training: a line a training seed, a column an arm", raw=True)


def _cell(arm: Arm | None) -> str:
    if arm is None:
        return "–"
    under_way = arm.state.label in {"running", "paused", "stopping", "stopped"} and bar(arm) > 0
    share = f" {bar(arm):.0%}".replace("%", " %") if under_way else ""
    return chip(arm.state.label, f"{arm.state.label}{share}")


def happenings(journals: Journals, arms: Sequence[Arm]) -> str:
    """What was last done on request or to a process, newest first; empty where nothing was."""
    found = [
        (event.time, f"{arm.label}: {event.text}" if len(arms) > 1 else event.text)
        for arm in arms
        for event in journals.events(arm.folder.events_path)
        if event.kind in HAPPENINGS
    ]
    latest = sorted(found, reverse=True)[:TOLD]
    return sentences(f"{_clock(at)} {text.splitlines()[0]}" for at, text in latest if text) if latest else ""


def _clock(at: float) -> str:
    """Day and time of this machine."""
    return time.strftime("%d %b %H:%M:%S", time.localtime(at)) if math.isfinite(at) else ""


def alarm_notes(journals: Journals, arms: Sequence[Arm]) -> str:
    """The latest alarm of each training and kind, and what to do about it; empty where there is none."""
    drift = _latest(journals, arms, KIND, "metric")
    samples = _latest(journals, arms, SAMPLE_KIND, "shows")
    if not drift and not samples:
        return ""
    listed: list[tuple[Level, str, str]] = [("warn", f"Drift alarm, {label}", f"{text}.") for label, text in drift]
    blank: list[tuple[Level, str, str]] = [("warn", f"Sample alarm, {label}", f"{text}.") for label, text in samples]
    advice = (paragraph(WHAT_TO_DO) if drift else "") + (paragraph(BLANK_WHAT_TO_DO) if samples else "")
    return f'<div role="status">{checklist(listed + blank)}{advice}</div>'


def _latest(journals: Journals, arms: Sequence[Arm], kind: str, by: str) -> list[tuple[str, str]]:
    """Arm and sentence of the latest event of a kind, for each value that its events have under ``by``."""
    found = []
    for arm in arms:
        events = [event for event in journals.events(arm.folder.events_path) if event.kind == kind]
        latest: dict[str, Event] = {str(event.details.get(by)): event for event in events}
        found += [(arm.label, event.text) for event in latest.values()]
    return found
