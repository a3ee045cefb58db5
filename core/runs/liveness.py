"""Is a process still the one that was meant? By pid and create time, never by a pid alone; zombies are dead.

``process.json`` says which process was launched for a folder, ``exit.json`` how it ended.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.runs.files import is_number, read_object, to_json, write_whole

CREATE_TIME_TOLERANCE = 2.0  # seconds: the kernel's boot time, which create times are counted from, wavers by one


@dataclass(frozen=True)
class Identity:
    """One process of this machine.

    Attributes:
        pid: Its number, which others may bear later.
        create_time: When it began, unix time.
    """

    pid: int
    create_time: float

    @classmethod
    def own(cls) -> "Identity":
        """This process."""
        process = psutil.Process()
        return cls(process.pid, process.create_time())

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The process that bears ``pid`` now; a vanished one gets a create time that matches nothing."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return cls(pid, 0.0)

    def alive(self) -> bool:
        """Whether that very process runs."""
        if self.pid <= 0:
            return False
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > CREATE_TIME_TOLERANCE:
                return False
            return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.Error:
            return False


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


def write_process(path: Path, identity: Identity, argv: list[str]) -> None:
    """Records which process was launched, and that this one did so and will record its end.

    Raises:
        RunError: If the file cannot be written.
    """
    own = Identity.own()
    facts = {"pid": identity.pid, "create_time": identity.create_time, "started": time.time(), "argv": argv}
    launcher = {"pid": own.pid, "create_time": own.create_time}
    write_whole(path, to_json({**facts, "launcher": launcher}))


def read_identity(path: Path) -> Identity | None:
    """The process that a JSON file with ``pid`` and ``create_time`` names; None when it names none."""
    data = read_object(path)
    return None if data is None else identity_in(data.get("pid"), data.get("create_time"))


def read_launcher(path: Path) -> Identity | None:
    """The process that launched the one in ``process.json``; None when that is not told."""
    data = read_object(path)
    launcher = None if data is None else data.get("launcher")
    return identity_in(launcher.get("pid"), launcher.get("create_time")) if isinstance(launcher, dict) else None


def identity_in(pid: object, create_time: object) -> Identity | None:
    """A process out of two values of unknown type; None unless both are numbers."""
    if not isinstance(pid, int) or isinstance(pid, bool) or not is_number(create_time):
        return None
    return Identity(pid, float(create_time))


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

    Returns:
        Whether the signal was delivered.
    """
    if not identity.alive():
        return False
    try:
        if os.getsid(identity.pid) == identity.pid and identity.pid != os.getpid():
            os.killpg(identity.pid, number)
        else:
            os.kill(identity.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
