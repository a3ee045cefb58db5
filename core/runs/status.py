"""What a run's process says about itself (``status.json``), and what may be believed of it (``derive_state``)."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from core.runs.adapter_check import adapter_problem
from core.runs.clock import Moment
from core.runs.explain import cause, hint, with_log
from core.runs.failure import read_failure
from core.runs.fields import MOST
from core.runs.files import is_missing, is_number, parse_object, read_bounded, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.liveness import Exit, Identity, read_exit, read_identity, read_launcher

Phase = Literal[
    "queued", "loading", "caching", "class_images", "training", "sampling", "saving", "paused", "done", "stopped",
    "failed",
]  # fmt: skip
Label = Literal["queued", "running", "paused", "stopping", "done", "stopped", "failed", "lost"]
PHASES: tuple[Phase, ...] = get_args(Phase)
FINAL_PHASES: tuple[Phase, ...] = ("done", "stopped", "failed")
FINAL_LABELS: tuple[Label, ...] = ("done", "stopped", "failed", "lost")
UNREADABLE = "its status.json cannot be read"
RECORD_SECONDS = 0.5  # how long a launcher may take from the end of its child to the exit record


@dataclass(frozen=True)
class Status:
    """What the process last said.

    Attributes:
        phase: What it is doing, or how it ended.
        step: Optimizer steps taken.
        total: Optimizer steps planned.
        pid: Its process; None before it has said anything itself.
        create_time: When that process began, unix time.
        heartbeat: When this was written, unix time; 0 when never.
        started: When the process began its work, unix time; 0 when it has not.
        error: Why it failed, a sentence.
        hint: What to change, a sentence that names the options.
        message: What it is doing, a sentence for people.
        progress: 0..1 within the phase.
        arm: Which arm of an experiment it trains.
        ticks: When its process began, in clock ticks since the machine's start; None where nothing tells.
        steady: When this was written, by the steady clock of ``core.runs.clock``.
        boot: Which start of the machine the last two count from.
    """

    phase: Phase = "queued"
    step: int = 0
    total: int = 0
    pid: int | None = None
    create_time: float | None = None
    heartbeat: float = 0.0
    started: float = 0.0
    error: str | None = None
    hint: str | None = None
    message: str = ""
    progress: float = 0.0
    arm: str | None = None
    ticks: int | None = None
    steady: float | None = None
    boot: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Status":
        """Reads what a status file holds; a field of the wrong type counts as missing."""
        identity, beat = Identity.read(data), Moment.read(data, time_key="heartbeat")
        phase, boot = data.get("phase"), data.get("boot")
        return cls(
            phase=phase if phase in PHASES else "loading",
            step=int(_number(data, "step")),
            total=int(_number(data, "total")),
            pid=None if identity is None else identity.pid,
            create_time=None if identity is None else identity.create_time,
            heartbeat=_number(data, "heartbeat"),
            started=_number(data, "started"),
            error=_text(data, "error"),
            hint=_text(data, "hint"),
            message=_text(data, "message") or "",
            progress=min(max(_number(data, "progress"), 0.0), 1.0),
            arm=_text(data, "arm"),
            ticks=None if identity is None else identity.ticks,
            steady=None if beat is None else beat.steady,
            boot=boot if isinstance(boot, str) else None,
        )

    def by(self, identity: Identity | None) -> "Status":
        """The same, said by that process; by none that is known where there is none."""
        if identity is None:
            return replace(self, pid=None, create_time=None, ticks=None)
        pid, create_time, ticks = identity.pid, identity.create_time, identity.ticks
        return replace(self, pid=pid, create_time=create_time, ticks=ticks)

    def beaten(self) -> "Status":
        """The same, said now."""
        now = Moment.now()
        return replace(self, heartbeat=now.time, steady=now.steady, boot=now.boot)

    @property
    def identity(self) -> Identity | None:
        """The process that wrote it."""
        if self.pid is None or self.create_time is None:
            return None
        return Identity(self.pid, self.create_time, self.ticks, self.boot)

    @property
    def age(self) -> float | None:
        """Seconds since it was written, whatever happened to the wall clock; None when it never was."""
        return Moment(self.heartbeat, self.steady, self.boot).age() if self.heartbeat > 0 else None

    @property
    def final(self) -> bool:
        """Whether the process said that it is over."""
        return self.phase in FINAL_PHASES


@dataclass(frozen=True)
class State:
    """What may be believed of a run, its process included.

    Attributes:
        label: queued (not started), running, paused, stopping (asked to, still alive), done, stopped, failed, or lost
            (the process is gone and nobody knows how it ended). The last four only when the process is gone, though it
            may have said its last word before.
        status: What the process last said; step and phase are the last known.
        message: One or more lines for people: what it does, or why it ended.
        hint: What to do about it, if anything is known.
        live: Whether its process runs.
        heartbeat_age: Seconds since the process last said anything; None when it never did.
        exit: How the process ended, where somebody saw it.
    """

    label: Label
    status: Status
    message: str
    hint: str | None
    live: bool
    heartbeat_age: float | None
    exit: Exit | None

    @property
    def final(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.label in FINAL_LABELS


def write_status(folder: RunFolder, status: Status, *, durable: bool = False) -> None:
    """Replaces the status file whole.

    Args:
        folder: The run.
        status: What to say.
        durable: Whether to wait for the disk; for the last word, not for heartbeats.

    Raises:
        RunError: If it cannot be written.
    """
    write_whole(folder.status_path, to_json(asdict(status)), durable=durable)


def read_status(folder: RunFolder) -> Status:
    """What the process last said; never raises.

    Without a status file the run is queued. A file that cannot be understood says only that the run once began.
    """
    data = read_bounded(folder.status_path)
    if data is None and is_missing(folder.status_path):
        return Status()
    facts = None if data is None else parse_object(data)
    if facts is None:
        return Status(phase="loading", message=UNREADABLE)
    return Status.from_dict(facts)


def live_process(folder: RunFolder, status: Status | None = None) -> Identity | None:
    """The run's process if it runs: the one that was launched for it, else the one that wrote the status."""
    said = (read_status(folder) if status is None else status).identity
    for identity in (read_identity(folder.process_path), said):
        if identity is not None and identity.alive():
            return identity
    return None


def derive_state(folder: RunFolder) -> State:
    """What may be believed: the status reconciled with the process, its exit record and the control file."""
    status = read_status(folder)
    live, starting = live_process(folder, status) is not None, _is_starting(folder, status)
    if not live and not starting and not status.final:
        _await_record(folder)
        status = read_status(folder)  # its last word may have come after the first look, or the process itself
        live = live_process(folder, status) is not None
    last_word = status.final and status.pid == os.getpid()  # one's own needs no proof
    working = starting or (live and not last_word)
    exited = read_exit(folder.exit_path)
    if exited is not None and not is_about(folder, status, exited):
        exited = None
    label = _label(folder, status, exited, working)
    message, advice = _words(folder, label, status, exited)
    damage = adapter_problem(folder) if label == "done" else None
    if damage is not None:  # no success without an adapter that loads
        label, message = "failed", damage
    return State(label, status, message, advice, live, status.age, exited)


def is_about(folder: RunFolder, status: Status, exited: Exit) -> bool:
    """Whether an exit record is about the run's latest process, not about one of an earlier life."""
    launched = read_identity(folder.process_path)
    return exited.pid == (status.pid if launched is None else launched.pid)


def _is_starting(folder: RunFolder, status: Status) -> bool:
    """Whether a living launcher is about to start the process."""
    if status.final or status.phase == "queued" or read_identity(folder.process_path) is not None:
        return False
    launcher = read_launcher(folder.process_path)
    return launcher is not None and launcher.alive()


def _await_record(folder: RunFolder) -> None:
    """Gives a living launcher the moment that it needs to record the end of its child."""
    launcher = read_launcher(folder.process_path)
    if launcher is None or not launcher.alive():
        return
    deadline = time.monotonic() + RECORD_SECONDS
    while is_missing(folder.exit_path) and time.monotonic() < deadline:
        time.sleep(RECORD_SECONDS / 20)


def _label(folder: RunFolder, status: Status, exited: Exit | None, working: bool) -> Label:
    if working:
        if os.path.exists(folder.stop_path) or status.phase == "stopped":
            return "stopping"
        return "paused" if status.phase == "paused" else "running"
    if status.phase == "done" and exited is not None and exited.code != 0:
        return "failed"
    if status.phase in ("done", "stopped", "failed", "queued"):
        return status.phase
    if os.path.exists(folder.stop_path):
        return "stopped"
    return "lost" if exited is None and read_failure(folder) is None else "failed"


def _words(folder: RunFolder, label: Label, status: Status, exited: Exit | None) -> tuple[str, str | None]:
    """Message and hint for a label."""
    if label == "queued":
        return "not started yet", None
    if label in ("running", "stopping") and status.final:
        return f"{status.phase}; its process is ending", status.hint
    if label == "lost":
        if status.message == UNREADABLE:
            return with_log(folder, f"the process is gone, and {UNREADABLE}"), status.hint
        seen = "" if status.age is None else f", {status.age:.0f} s after its last sign of life"
        return with_log(folder, f"the process is gone and left no word{seen}"), status.hint
    if label == "stopped" and not status.final:
        return cut_short(exited), status.hint
    if label == "failed" and status.error is not None:
        return status.error, status.hint
    word = read_failure(folder) if label == "failed" else None
    if word is not None:
        return word.error, word.hint
    if label == "failed" and exited is not None:
        return cause(folder, exited, status.phase), status.hint if status.hint is not None else hint(exited)
    return status.message if status.message else status.phase.replace("_", " "), status.hint


def cut_short(exited: Exit | None) -> str:
    """What is said of a run that was stopped and ended without a word of its own."""
    return f"stopped{'' if exited is None else f': the process {exited.words}'} before it could save"


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(value) if is_number(value) and abs(value) <= MOST else 0.0


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None
