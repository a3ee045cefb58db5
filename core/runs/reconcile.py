"""What a page does when it starts: ends that nobody saw are written down, stops that were under way are carried on."""

import contextlib
from collections.abc import Iterator

from core.errors import RunError
from core.runs.escalation import stop_requested
from core.runs.experiment import list_experiments
from core.runs.folder import RunFolder
from core.runs.launch import settle
from core.runs.liveness import read_exit
from core.runs.process import advance_stop, follow_stop
from core.runs.records import Event, read_records, record_event
from core.runs.status import Status, derive_state, is_about, live_process, read_status
from core.runs.workspace import Workspace

KIND = "lost"


def reconcile(workspace: Workspace) -> list[str]:
    """Sets the records of a workspace right; call it when the page starts, as often as you like.

    A run whose status says that it is at work and whose process is gone gets an event, once; its state stays what is
    derived on every read. A stop that somebody asked for goes on to its signals. A workspace that cannot be written is
    left as it is. Of all other runs only the status is read, so that hundreds take no time.

    Returns:
        A sentence for each run that was found lost now.
    """
    found = []
    for folder in _folders(workspace):
        status = read_status(folder)
        if not folder.status_path.exists() or status.phase == "queued":
            continue
        if live_process(folder, status) is not None:
            if stop_requested(folder):
                follow_stop(lambda folder=folder: not advance_stop(folder).live)
        elif not status.final:
            with contextlib.suppress(RunError):
                found += _write_down(folder, status)
    return found


def _folders(workspace: Workspace) -> Iterator[RunFolder]:
    """Single runs, then each experiment's own folder and those of its arms."""
    yield from workspace.runs()
    for experiment in list_experiments(workspace):
        yield experiment.folder
        yield from (arm.run for arm in experiment.arms)


def _write_down(folder: RunFolder, status: Status) -> list[str]:
    """The end of a process that left no last word; empty when it was written down before."""
    exited = read_exit(folder.exit_path)
    if exited is not None and is_about(folder, status, exited):
        settle(folder, exited)  # its launcher died between the two
        return []
    state = derive_state(folder)
    life = {"pid": status.pid, "heartbeat": status.heartbeat}
    events = [event for event in read_records(Event, folder.events_path) if event.kind == KIND]
    if not state.final or any(event.details.get("life") == life for event in events):
        return []
    where = f"{status.phase.replace('_', ' ')}, step {status.step} of {status.total}"
    record_event(folder.events_path, KIND, f"{state.message} (last seen: {where})", life=life, label=state.label)
    return [f"{folder.name}: {state.label}, last seen: {where}"] if state.label == "lost" else []
