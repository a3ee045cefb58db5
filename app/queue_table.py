"""The queue as a table: what runs, what waits and in which order, how long it takes, and what the queue did last."""

from __future__ import annotations

from app.html import checklist, chip, empty, escape, paragraph, sentences, table
from app.view import duration
from core.errors import WorkbenchError
from core.runs.cost import forecast_of
from core.runs.log import log_tail
from core.runs.measurement import find_measurement
from core.runs.queue import Item, Queue
from core.runs.queue_runner import runner_log
from core.runs.status import read_status
from core.runs.trainings import Training, find_training
from core.runs.workspace import Workspace

SAID = 3
"""So many lines of what the queue did are shown."""
EMPTY = "Nothing is queued. [Add to queue] freezes the settings as they are and lets the training wait for its turn."


def queue_html(workspace: Workspace, queue: Queue, lives: bool) -> str:
    """The queue as a table, with a sentence on whether it goes on."""
    notes = []
    if queue.problem is not None:
        notes.append(checklist([("fail", "Queue", queue.problem)]))
    if queue.held:
        notes.append(paragraph("The queue is held: no next training starts before Release is pressed."))
    elif queue.items and not lives:
        notes.append(paragraph("The queue stands still, for the process that serves it is gone: press Release."))
    places = [*("now" for _ in queue.started), *(str(place) for place, _ in enumerate(queue.waiting, 1))]
    rows = [_row(workspace, place, item) for place, item in zip(places, queue.items, strict=True)]
    head = ["Place", "Training", "Kind", "State", "Forecast"]
    listed = table(head, rows, "What runs and what waits, in its order", raw=True) if rows else empty(EMPTY)
    said = log_tail(runner_log(workspace.root), SAID)
    return "".join(notes) + listed + (f"<h3>What the queue did last</h3>{sentences(said)}" if said else "")


def _row(workspace: Workspace, place: str, item: Item) -> list[str]:
    training = find_queued(workspace, item)
    if training is None:
        return [place, escape(item.selection), "", "its folder is gone", ""]
    kind = "single run" if training.experiment is None else f"experiment, {len(training.runs)} trainings"
    if item.device is None:
        state = "waits"
    else:
        status = read_status(training.folder)
        unit = "step" if training.experiment is None else "training"
        steps = f" {unit} {status.step} of {status.total}" if status.total else ""
        state = chip(training.label()) + steps
    return [place, f"{escape(training.title)}<br><small>{escape(item.selection)}</small>", kind, state,
            escape(_forecast(workspace, training))]  # fmt: skip


def _forecast(workspace: Workspace, training: Training) -> str:
    """How long all of it takes, where that was measured here."""
    total = 0.0
    for run in training.runs:
        try:
            config = run.config()
        except WorkbenchError:
            return "unknown"
        seconds = forecast_of(config, find_measurement(workspace.root, config)).seconds_per_step
        if seconds is None:
            return "known after a measurement"
        total += seconds * config.training.max_train_steps
    return f"about {duration(total)}"


def find_queued(workspace: Workspace, item: Item) -> Training | None:
    """An item's training; None when its folder is gone."""
    try:
        return find_training(workspace, item.selection)
    except WorkbenchError:
        return None


def title_of(workspace: Workspace, selection: str) -> str:
    """What the user called it; its address where its folder is gone or a page made the name up."""
    try:
        return find_training(workspace, selection).title
    except WorkbenchError:
        return selection
