"""Is a process still the one that was meant? By pid and beginning, never by a pid alone; zombies are dead.

A create time moves when somebody sets the wall clock, for it is counted from the machine's start in wall time. Where
the system tells (Linux), the beginning is therefore also kept in clock ticks since that start, beside its id.
``process.json`` says which process was launched for a folder, ``exit.json`` how it ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.runs.clock import boot_id
from core.runs.files import is_number, read_object, to_json, write_whole

CREATE_TIME_TOLERANCE = 2.0  # seconds: the kernel's boot time, which create times are counted from, wavers by one
DEAD = (b"Z", b"X", b"x")


@dataclass(frozen=True)
class Identity:
    """One process of this machine.

    Attributes:
        pid: Its number, which others may bear later.
        create_time: When it began, unix time as the wall clock stood when somebody looked.
        ticks: When it began, in clock ticks since the machine's start; None where the system does not tell.
        boot: Which start of the machine; None where the system does not tell.
    """

    pid: int
    create_time: float
    ticks: int | None = None
    boot: str | None = None

    @classmethod
    def own(cls) -> "Identity":
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The process that bears ``pid`` now; a vanished one gets a create time that matches nothing."""
        try:
            create_time = psutil.Process(pid).create_time()
        except psutil.Error:
            return cls(pid, 0.0)
        began = _beginning(pid)
        return cls(pid, create_time) if began is None else cls(pid, create_time, began[0], boot_id())

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Identity | None":
        """The process that a JSON record tells; None unless it has a pid and a create time."""
        pid, create_time, ticks, boot = (facts.get(key) for key in ("pid", "create_time", "ticks", "boot"))
        if not isinstance(pid, int) or isinstance(pid, bool) or not is_number(create_time):
            return None
        is_count = isinstance(ticks, int) and not isinstance(ticks, bool)
        return cls(pid, float(create_time), ticks if is_count else None, boot if isinstance(boot, str) else None)

    def facts(self) -> dict[str, Any]:
        """What goes into a JSON record."""
        return {"pid": self.pid, "create_time": self.create_time, "ticks": self.ticks, "boot": self.boot}

    def alive(self) -> bool:
        """Whether that very process runs."""
        if self.pid <= 0:
            return False
        if self.ticks is not None and self.boot is not None and boot_id() is not None:
            began = _beginning(self.pid) if self.boot == boot_id() else None
            return began is not None and began[0] == self.ticks and began[1] not in DEAD
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > CREATE_TIME_TOLERANCE:
                return False
            return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.Error:
            return False


def _beginning(pid: int) -> tuple[int, bytes] | None:
    """Start in clock ticks since the machine's start and state letter, of fields 22 and 3 of ``/proc/PID/stat``."""
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    rest = data.rpartition(b")")[2].split()  # the name in brackets may hold spaces and brackets itself
    return (int(rest[19]), rest[0]) if len(rest) > 19 else None


@dataclass(frozen=True)
class Exit:
    """How a process ended.

    Attributes:
        pid: Which one.
        code: Its exit code; negative for the signal that ended it.
        time: When that was noticed, unix time.
    """

    pid: int
    code: int
    time: float

    @property
    def words(self) -> str:
        """What the code means, for the middle of a sentence."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        return f"was ended by {name}"


def write_process(path: Path, identity: Identity | None, argv: list[str]) -> None:
    """Records which process was launched, None until it is there; that this one does so, and will record its end.

    Raises:
        RunError: If the file cannot be written.
    """
    facts = {**({} if identity is None else identity.facts()), "started": time.time(), "argv": argv}
    write_whole(path, to_json({**facts, "launcher": Identity.own().facts()}))


def read_identity(path: Path) -> Identity | None:
    """The process that a JSON file tells; None when it tells none."""
    data = read_object(path)
    return None if data is None else Identity.read(data)


def read_launcher(path: Path) -> Identity | None:
    """The process that launched the one in ``process.json``; None when that is not told."""
    data = read_object(path)
    launcher = None if data is None else data.get("launcher")
    return Identity.read(launcher) if isinstance(launcher, dict) else None


def write_exit(path: Path, pid: int, code: int) -> Exit:
    """Records how a process ended.

    Raises:
        RunError: If the file cannot be written.
    """
    record = Exit(pid, code, time.time())
    write_whole(path, to_json({"pid": pid, "code": code, "time": record.time}), durable=True)
    return record


def read_exit(path: Path) -> Exit | None:
    """How the last process ended; None when nobody recorded it."""
    data = read_object(path)
    if data is None:
        return None
    pid, code, at = data.get("pid"), data.get("code"), data.get("time")
    if not isinstance(pid, int) or not isinstance(code, int) or not is_number(at):
        return None
    return Exit(pid, code, float(at))


def send_signal(identity: Identity, number: signal.Signals) -> bool:
    """Signals a process if it is still the one meant; its whole group where it leads a session of its own.

    SIGKILL, which a process cannot pass on, goes to all of its descendants too, whatever their session.

    Returns:
        Whether the signal was delivered.
    """
    if not identity.alive():
        return False
    try:
        descendants = psutil.Process(identity.pid).children(recursive=True) if number == signal.SIGKILL else []
        if os.getsid(identity.pid) == identity.pid and identity.pid != os.getpid():
            os.killpg(identity.pid, number)
        else:
            os.kill(identity.pid, number)
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False
    for process in descendants:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return True
