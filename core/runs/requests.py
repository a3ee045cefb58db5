"""What people ask of a training that runs: wait, go on, save now, draw now.

Control files in the run folder, honoured between two optimizer steps. ``pause`` stands as long as the training is to
wait; ``save`` and ``sample`` disappear when they were honoured, which is an event of that name.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from core.errors import RunError
from core.runs.clock import Moment
from core.runs.files import cannot_write, to_json
from core.runs.folder import RunFolder
from core.runs.records import Event, read_records
from core.runs.status import State, derive_state

Request = Literal["pause", "save", "sample"]
REQUESTS: tuple[Request, ...] = get_args(Request)
POLL_SECONDS = 0.1
_DOING: Mapping[Request, str] = {"pause": "pause", "save": "save now", "sample": "sample now"}


def pause_run(folder: RunFolder) -> None:
    """Asks a training to save and wait, with its process and its memory kept; a paused one stays so.

    Raises:
        RunError: If the run is not in progress, or the control file cannot be written.
    """
    _ask(folder, "pause")


def continue_run(folder: RunFolder) -> None:
    """Lets a paused training go on, or takes the request to pause back.

    Raises:
        RunError: If the run is not in progress or was not asked to pause, or the control file cannot be removed.
    """
    state = derive_state(folder)
    if not _takes_requests(state):
        raise _refusal(folder, state, "continue")
    if not is_requested(folder, "pause"):
        raise RunError(f'run to continue must be paused, got "{folder.name}", which is {state.label}')
    forget(folder, "pause")


def request_save(folder: RunFolder) -> None:
    """Asks for a checkpoint after the present step.

    Raises:
        RunError: If the run is not in progress, or the control file cannot be written.
    """
    _ask(folder, "save")


def request_sample(folder: RunFolder) -> None:
    """Asks for the validation pictures after the present step, with the recipe and the seeds of all the others.

    Raises:
        RunError: If the run is not in progress, or the control file cannot be written.
    """
    _ask(folder, "sample")


def is_requested(folder: RunFolder, request: Request) -> bool:
    """Whether a request stands; cheap enough for every optimizer step."""
    return _path(folder, request).exists()


def forget(folder: RunFolder, request: Request) -> None:
    """Takes a request away: it was honoured, or taken back.

    Raises:
        RunError: If the control file cannot be removed.
    """
    path = _path(folder, request)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def wait_until_heard(folder: RunFolder, request: Request) -> str:
    """Waits until a training has done what was asked for; that may take as long as a step, or as loading takes.

    Returns:
        What it did, a sentence.

    Raises:
        RunError: If the process ends, or is asked to stop, before it came to that.
    """
    state = derive_state(folder)
    while _takes_requests(state):
        if state.label == "paused" if request == "pause" else not is_requested(folder, request):
            return _said(folder, request)
        time.sleep(POLL_SECONDS)
        state = derive_state(folder)
    raise RunError(f'run must stay in progress to {_DOING[request]}, got "{folder.name}", which is {state.label} now')


def _said(folder: RunFolder, request: Request) -> str:
    """The text of the latest event of that kind; the request was taken back where there is none."""
    texts = [event.text for event in read_records(Event, folder.events_path) if event.kind == request]
    return texts[-1] if texts else "the request was taken back"


def _ask(folder: RunFolder, request: Request) -> None:
    state = derive_state(folder)
    if not _takes_requests(state):
        raise _refusal(folder, state, _DOING[request])
    path = _path(folder, request)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(to_json(Moment.now().facts()).encode() + b"\n")
    except FileExistsError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error


def _takes_requests(state: State) -> bool:
    return state.live and state.label in ("running", "paused") and not state.status.final


def _refusal(folder: RunFolder, state: State, what: str) -> RunError:
    advice = "; resume it instead" if state.label in ("stopped", "failed", "lost") else ""
    return RunError(f'run to {what} must be in progress, got "{folder.name}", which is {state.label}{advice}')


def _path(folder: RunFolder, request: Request) -> Path:
    return {"pause": folder.pause_path, "save": folder.save_path, "sample": folder.sample_path}[request]
