"""A stop that is under way: who may send which signal when.

The control file ``stop`` is a small journal: the request, then each signal that was sent. Any number of pages and
commands may look at it; the one that holds its lock sends what is due. Grace is counted by the steady clock: a wall
clock that somebody sets delays nothing and hurries nothing.
"""

import contextlib
import fcntl
import math
import os
import signal
from dataclasses import dataclass

from core.runs import journal
from core.runs.clock import Moment
from core.runs.files import cannot_write, is_number, to_json
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, send_signal
from core.runs.records import record_event

GRACE_SECONDS = 20.0
ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
WORDS = {"SIGINT": "interrupt", "SIGTERM": "terminate", "SIGKILL": "kill"}


@dataclass(frozen=True)
class StopProgress:
    """How far a stop has come.

    Attributes:
        asked: Seconds since it was asked for.
        sent: Names of the signals that were sent, in their order.
        upcoming: Name of the next signal; None after the last one.
        upcoming_in: Seconds until that one, 0 when it is due.
    """

    asked: float
    sent: tuple[str, ...]
    upcoming: str | None
    upcoming_in: float

    @property
    def words(self) -> str:
        """For people, for example ``asked 12 s ago; interrupt in 8 s if it does not save``."""
        said = f"asked {self.asked:.0f} s ago"
        if self.sent:
            said += f", {WORDS.get(self.sent[-1], self.sent[-1])} sent"
        if self.upcoming is None:
            return f"{said}; waiting for the system to end it"
        condition = "if it does not end" if self.sent else "if it does not save"
        return f"{said}; {WORDS[self.upcoming]} in {math.ceil(self.upcoming_in)} s {condition}"


@dataclass(frozen=True)
class _Request:
    """What the control file tells. ``last`` is when it was written or the latest signal was sent."""

    asked: Moment
    last: Moment
    grace: float
    sent: tuple[str, ...]

    @property
    def upcoming(self) -> signal.Signals | None:
        return ESCALATION[len(self.sent)] if len(self.sent) < len(ESCALATION) else None

    @property
    def upcoming_in(self) -> float:
        return max(self.grace - self.last.age(), 0.0)


def request_stop(folder: RunFolder, grace: float = GRACE_SECONDS) -> None:
    """Writes the control file; a request that stands already stays as it is.

    Args:
        folder: The run.
        grace: Seconds until each next signal.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        fd = os.open(folder.stop_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    except OSError as error:
        raise cannot_write(folder.stop_path, error) from error
    with contextlib.suppress(OSError), os.fdopen(fd, "wb") as file:  # on a full disk the empty file is the request
        file.write(to_json({**Moment.now().facts(), "grace": grace}).encode() + b"\n")


def stop_requested(folder: RunFolder) -> bool:
    """Whether somebody wants the run to stop; cheap enough for every optimizer step."""
    return os.path.exists(folder.stop_path)


def stop_progress(folder: RunFolder) -> StopProgress | None:
    """How far the stop of a run has come; None when nobody asked for one. The process may be gone already."""
    if not stop_requested(folder):
        return None
    request = _read(folder)
    if request is None:
        return StopProgress(0.0, (), ESCALATION[0].name, GRACE_SECONDS)
    upcoming = None if request.upcoming is None else request.upcoming.name
    return StopProgress(request.asked.age(), request.sent, upcoming, 0.0 if upcoming is None else request.upcoming_in)


def escalate(folder: RunFolder, process: Identity) -> None:
    """Sends the signal that is due, if any; of several callers at once only one does.

    Raises:
        RunError: If the signal cannot be noted down, on a full disk for example; it is not sent then.
    """
    try:
        fd = os.open(folder.stop_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        request = _read(folder)
        if request is None:  # an empty file that somebody touched: its grace begins now
            journal.append(folder.stop_path, {**Moment.now().facts(), "grace": GRACE_SECONDS})
        elif request.upcoming is not None and request.upcoming_in <= 0:
            due = request.upcoming
            journal.append(folder.stop_path, {"sent": due.name, **Moment.now().facts()})
            send_signal(process, due)
            text = f"{due.name} was sent, because the process had not stopped in time"
            record_event(folder.events_path, "signal", text, signal=due.name)
    except BlockingIOError:
        return
    finally:
        os.close(fd)


def _read(folder: RunFolder) -> _Request | None:
    """What the control file tells; None where it tells no time."""
    rows = journal.read_all(folder.stop_path)
    moments = [moment for row in rows if (moment := Moment.read(row)) is not None]
    if not moments:
        return None
    graces = [row["grace"] for row in rows if is_number(row.get("grace")) and math.isfinite(row["grace"])]
    sent = tuple(str(row["sent"]) for row in rows if "sent" in row)
    return _Request(moments[0], moments[-1], graces[0] if graces else GRACE_SECONDS, sent)
