"""Starting and stopping a run's process.

A stop begins with the control file ``stop``, which the process honours when it comes to it. Every poll of
``advance_stop`` looks whether the grace has passed and then sends the next signal to the process group: SIGINT,
SIGTERM, SIGKILL (``core.runs.escalation``).
"""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from core.errors import RunError
from core.runs.background import start_in_background
from core.runs.escalation import (
    ESCALATION,
    GRACE_SECONDS,
    StopProgress,
    escalate,
    request_stop,
    stop_progress,
    stop_requested,
)
from core.runs.folder import RunFolder
from core.runs.liveness import send_signal
from core.runs.lock import Occupied, starting
from core.runs.records import record_event
from core.runs.status import State, derive_state, live_process
from core.runs.workspace import workspace_of

__all__ = [
    "ESCALATION",
    "GRACE_SECONDS",
    "StopProgress",
    "advance_stop",
    "follow_stop",
    "followed_state",
    "kill_run",
    "press_stop",
    "request_stop",
    "start_run",
    "stop_progress",
    "stop_requested",
    "stop_run",
    "wait_for_end",
]

POLL_SECONDS = 0.1
FOLLOW_SECONDS = 1.0


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
        RunError: If a training is in progress on the device (named), the run is done or in progress on another device,
            the folder cannot be written, or the program cannot be started.
    """
    workspace = workspace_of(folder.path)
    name = workspace.identifier(folder)
    argv = [python, "-m", "core", verb, str(folder.path)] if command is None else list(command)
    with starting(workspace.root):
        state = derive_state(folder)
        if state.live:  # on another device: this one is free
            raise Occupied(f'run must be one that is not in progress, got "{name}"; wait for it or stop it')
        if state.label == "done":
            raise RunError(f'run must be one that is not done, got "{name}"; make a new run of its config')
        return start_in_background(workspace.root, f'run "{name}"', folder, argv)


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
            escalate(folder, process)


def followed_state(folder: RunFolder) -> State:
    """What may be believed of a folder's process; sends the signal that is due after a stop request."""
    with contextlib.suppress(RunError):  # a full disk takes no note of a signal: tried again at the next look
        press_stop(folder)
    return derive_state(folder)


def follow_stop(advance: Callable[[], bool]) -> None:
    """Carries a stop on in a thread that does not keep this process alive, whether or not anybody watches.

    Args:
        advance: Sends what is due; returns whether the stop has come to its end.
    """

    def follow() -> None:
        has_ended = False
        while not has_ended:
            time.sleep(FOLLOW_SECONDS)
            with contextlib.suppress(RunError):  # a full disk takes no note of a signal: tried again
                has_ended = advance()

    threading.Thread(target=follow, name="follow-stop", daemon=True).start()


def kill_run(folder: RunFolder) -> State:
    """Ends a run's whole process group at once, without saving; its last checkpoint stays.

    Raises:
        RunError: If the control file, by which the run counts as stopped and not as failed, or the journal cannot be
            written. The process is ended all the same.
    """
    process = live_process(folder)
    if process is not None:
        try:
            request_stop(folder)
        finally:
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
