"""Starting and stopping a run's process.

A stop begins with the control file ``stop``, which the process honours when it comes to it. Every poll of
``advance_stop`` looks whether the grace has passed and then sends the next signal to the process group: SIGINT,
SIGTERM, SIGKILL. The file remembers what was sent, so that any number of pages may poll, and a restarted one goes on.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from core.errors import RunError
from core.runs import journal
from core.runs.background import start_in_background
from core.runs.files import cannot_write, is_number, to_json
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, send_signal
from core.runs.lock import starting
from core.runs.records import record_event
from core.runs.status import State, derive_state, live_process
from core.runs.workspace import workspace_of

GRACE_SECONDS = 20.0
ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
POLL_SECONDS = 0.1


def start_run(
    folder: RunFolder, python: str = sys.executable, *, verb: str = "run", command: Sequence[str] | None = None
) -> int:
    """Starts a run in the background; it outlives this process.

    Args:
        folder: A run that is not done.
        python: The interpreter.
        verb: ``run``, or ``resume`` to go on from the last checkpoint.
        command: Another program for the run's process than ``python -m core VERB RUN``.

    Returns:
        The process's pid.

    Raises:
        RunError: If a training is in progress in the workspace (named), the run is done, the folder cannot be written,
            or the program cannot be started.
    """
    workspace = workspace_of(folder.path)
    name = workspace.identifier(folder)
    argv = [python, "-m", "core", verb, str(folder.path)] if command is None else list(command)
    with starting(workspace.root):
        if derive_state(folder).label == "done":
            raise RunError(f'run must be one that is not done, got "{name}"; make a new run of its config')
        return start_in_background(workspace.root, f'run "{name}"', folder, argv)


def request_stop(folder: RunFolder, grace: float = GRACE_SECONDS) -> None:
    """Writes the control file; a request that stands already stays as it is.

    Args:
        folder: The run.
        grace: Seconds until each next signal.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        with folder.stop_path.open("xb") as file:
            file.write(to_json({"time": time.time(), "grace": grace}).encode() + b"\n")
    except FileExistsError:
        return
    except OSError as error:
        raise cannot_write(folder.stop_path, error) from error


def stop_requested(folder: RunFolder) -> bool:
    """Whether somebody wants the run to stop; cheap enough for every optimizer step."""
    return folder.stop_path.exists()


def stop_run(folder: RunFolder, grace: float = GRACE_SECONDS) -> State:
    """Asks a run to stop and save; call ``advance_stop`` from every later poll until the state is final.

    Nothing happens to a run whose process is not there.

    Args:
        folder: The run.
        grace: Seconds until SIGINT, then until SIGTERM, then until SIGKILL.

    Returns:
        The state after the request: ``stopping`` until the process is really gone.

    Raises:
        RunError: If the control file cannot be written.
    """
    if live_process(folder) is not None:
        request_stop(folder, grace)
    return advance_stop(folder)


def advance_stop(folder: RunFolder) -> State:
    """Sends the next signal if a stop was requested and its grace has passed; returns the state. Cheap otherwise."""
    press_stop(folder)
    return derive_state(folder)


def press_stop(folder: RunFolder) -> None:
    """``advance_stop`` without a look at the state, for the process that has to record the run's end itself."""
    if stop_requested(folder):
        process = live_process(folder)
        if process is not None:
            _escalate(folder, process)


def kill_run(folder: RunFolder) -> State:
    """Ends a run's whole process group at once, without saving; its last checkpoint stays.

    Raises:
        RunError: If the control file, by which the run counts as stopped and not as failed, cannot be written.
    """
    process = live_process(folder)
    if process is not None:
        request_stop(folder)
        send_signal(process, signal.SIGKILL)
        record_event(folder.events_path, "signal", "SIGKILL was sent on demand", signal="SIGKILL")
    return derive_state(folder)


def wait_for_end(folder: RunFolder, timeout: float) -> State:
    """Polls until the run's state is final, sending signals when a stop is due.

    Args:
        folder: The run.
        timeout: Seconds to wait at most.

    Returns:
        The last state, final unless the time ran out.
    """
    deadline = time.monotonic() + timeout
    state = advance_stop(folder)
    while not state.final and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        state = advance_stop(folder)
    return state


def _escalate(folder: RunFolder, process: Identity) -> None:
    """Sends the signal that is due, if any; of several callers at once only one does."""
    try:
        fd = os.open(folder.stop_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rows = journal.read_all(folder.stop_path)
        due = _due(rows, os.fstat(fd).st_mtime)
        if due is not None:
            journal.append(folder.stop_path, {"sent": due.name, "time": time.time()})
            send_signal(process, due)
            text = f"{due.name} was sent, because the process had not stopped in time"
            record_event(folder.events_path, "signal", text, signal=due.name)
    except BlockingIOError:
        return
    finally:
        os.close(fd)


def _due(rows: list[dict[str, Any]], written: float) -> signal.Signals | None:
    """The signal whose time has come, given the control file's records and when it was written."""
    sent = [row for row in rows if "sent" in row]
    times = [row["time"] for row in rows if is_number(row.get("time"))]
    graces = [row["grace"] for row in rows if is_number(row.get("grace"))]
    since = times[-1] if times else written
    grace = graces[0] if graces else GRACE_SECONDS
    if len(sent) >= len(ESCALATION) or time.time() - since < grace:
        return None
    return ESCALATION[len(sent)]
