"""One training at a time in a workspace.

The training process itself holds a file lock for as long as it lives, so its death frees the lock whatever the cause.
From a start until that process has the lock, and between the arms of an experiment, ``current.json`` names the process
that was launched. Starts are serialised by a lock of their own: of two at once exactly one goes through.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.errors import RunError
from core.runs.files import cannot_write, make_folder, parse_object, read_bounded, read_object, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, identity_in
from core.runs.status import read_status

LOCK_SECONDS = 2.0  # how long a training waits for the lock: a probe or a process that is just ending may still have it
END_SECONDS = 5.0  # how long a start waits for a process that has said its last word
GUARD_SECONDS = 15.0  # how long a start waits for another start
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class InProgress:
    """The training that occupies a workspace.

    Attributes:
        name: How to call it in a sentence.
        identity: The process that was launched for it; None where only the lock tells.
        ending: Whether it has said its last word and only its process is still there.
    """

    name: str
    identity: Identity | None
    ending: bool


@contextmanager
def hold_training_lock(workspace_root: Path, run_name: str) -> Iterator[None]:
    """Holds the workspace's training lock; for the training process, around all of its work.

    Args:
        workspace_root: ``workspace_of(run.path).root``.
        run_name: What others are told while it is held.

    Raises:
        RunError: If another training is in progress, which it names, or the lock cannot be written.
    """
    current = _current(workspace_root)
    if current is not None and current.identity is not None and not _launched_us(current.identity):
        raise _busy(current.name)
    fd = _open(_file(workspace_root, "lock"))
    try:
        if not _acquire(fd, LOCK_SECONDS):
            raise _busy(_holder(workspace_root))
        os.ftruncate(fd, 0)
        os.pwrite(fd, to_json({"name": run_name, "pid": os.getpid(), "time": time.time()}).encode(), 0)
        yield
    finally:
        os.close(fd)


def training_in_progress(workspace_root: Path) -> str | None:
    """The name of the run or experiment that occupies the workspace, or None when a training may start."""
    found = in_progress(workspace_root)
    return None if found is None else found.name


def in_progress(workspace_root: Path) -> InProgress | None:
    """What occupies the workspace beside this process's own launch, or None."""
    current = _current(workspace_root)
    if current is not None:
        return current
    return InProgress(_holder(workspace_root), None, False) if _is_locked(workspace_root) else None


@contextmanager
def starting(workspace_root: Path) -> Iterator[None]:
    """Makes a start exclusive: inside, nothing is in progress and nobody else starts anything.

    Whoever starts a process inside has to call ``record_launch`` before leaving.

    Raises:
        RunError: If a training is in progress, which it names, or another start does not come to an end.
    """
    fd = _open(_file(workspace_root, "starting"))
    try:
        if not _acquire(fd, GUARD_SECONDS):
            raise RunError("one training must start at a time, got another start that takes long; try again")
        _refuse_if_busy(workspace_root)
        yield
    finally:
        os.close(fd)


def record_launch(workspace_root: Path, name: str, folder: Path, identity: Identity) -> None:
    """Notes which process was launched, for those who ask before it has the lock.

    Raises:
        RunError: If it cannot be written.
    """
    facts = {"name": name, "folder": folder, "pid": identity.pid, "create_time": identity.create_time}
    write_whole(_file(workspace_root, "current.json"), to_json(facts))


def _refuse_if_busy(workspace_root: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while (found := in_progress(workspace_root)) is not None:
        if not found.ending or time.monotonic() > deadline:
            raise _busy(found.name)
        time.sleep(POLL_SECONDS)


def _busy(name: str) -> RunError:
    return RunError(
        f"one training must run at a time, got a second one while {name} is in progress; wait for it or stop it"
    )


def _current(workspace_root: Path) -> InProgress | None:
    """The launched process that occupies the workspace, if it is alive and not this one."""
    facts = read_object(_path(workspace_root, "current.json"))
    if facts is None:
        return None
    identity = identity_in(facts.get("pid"), facts.get("create_time"))
    if identity is None or identity.pid == os.getpid() or not identity.alive():
        return None
    folder = facts.get("folder")
    ending = isinstance(folder, str) and read_status(RunFolder(Path(folder))).final
    return InProgress(str(facts.get("name")), identity, ending)


def _launched_us(identity: Identity) -> bool:
    """Whether that process launched this one: an experiment's driver, or a launcher of several processes."""
    with suppress(psutil.Error):
        return any(parent.pid == identity.pid for parent in psutil.Process().parents())
    return False


def _holder(workspace_root: Path) -> str:
    data = read_bounded(_path(workspace_root, "lock"))
    facts = None if data is None else parse_object(data)
    name = None if facts is None else facts.get("name")
    return f'run "{name}"' if isinstance(name, str) and name else "another training"


def _is_locked(workspace_root: Path) -> bool:
    try:
        fd = os.open(_path(workspace_root, "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _acquire(fd: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from error


def _path(workspace_root: Path, name: str) -> Path:
    return Path(workspace_root) / ".training" / name


def _file(workspace_root: Path, name: str) -> Path:
    path = _path(workspace_root, name)
    make_folder(path.parent)
    return path
