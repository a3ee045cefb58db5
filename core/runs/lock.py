"""One training at a time on a device of a workspace.

The training process itself holds a file lock for as long as it lives, so its death frees the lock whatever the cause.
From a start until that process has the lock, and between the arms of an experiment, ``current.json`` names the process
that was launched. Starts are serialised by a lock of their own: of two at once exactly one goes through. Each device
(``core.runs.device``) has files of its own.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.errors import RunError
from core.runs.device import DEFAULT, device_keys, keyed
from core.runs.file_lock import is_locked, lock
from core.runs.files import make_folder, read_object, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.status import read_status

LOCK_SECONDS = 2.0  # how long a training waits for the lock: a probe or a process that is just ending may still have it
END_SECONDS = 5.0  # how long a start waits for a process that has said its last word
GUARD_SECONDS = 15.0  # how long a start waits for another start
POLL_SECONDS = 0.05


class Occupied(RunError):
    """Something else is in progress; the same start may succeed later."""


@dataclass(frozen=True)
class InProgress:
    """The training that occupies a device of a workspace.

    Attributes:
        name: How to call it in a sentence.
        identity: The process that was launched for it; None where only the lock tells.
        ending: Whether it has said its last word and only its process is still there.
        folder: What it was launched for; None where only the lock tells.
    """

    name: str
    identity: Identity | None
    ending: bool
    folder: Path | None = None


@contextmanager
def hold_training_lock(workspace_root: Path, run_name: str) -> Iterator[None]:
    """Holds the training lock of this process's devices; for the training process, around all of its work.

    Args:
        workspace_root: ``workspace_of(run.path).root``.
        run_name: What others are told while it is held.

    Raises:
        Occupied: If another training is in progress, which it names.
        RunError: If the lock cannot be written.
    """
    with ExitStack() as held:
        for key in device_keys():
            current = _current(workspace_root, key)
            if current is not None and current.identity is not None and not _launched_us(current.identity):
                raise _busy(current.name)
            fd = lock(_file(workspace_root, keyed("lock", key)), LOCK_SECONDS)
            if fd is None:
                raise _busy(_holder(workspace_root, key))
            held.callback(os.close, fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, to_json({"name": run_name, "pid": os.getpid(), "time": time.time()}).encode(), 0)
        yield


def training_in_progress(workspace_root: Path) -> str | None:
    """The name of what occupies this process's device in the workspace, or None when a training may start."""
    found = in_progress(workspace_root)
    return None if found is None else found.name


def in_progress(workspace_root: Path) -> InProgress | None:
    """What occupies this process's device beside its own launch, or None."""
    found = (_in_progress(workspace_root, key) for key in device_keys())
    return next((one for one in found if one is not None), None)


def any_in_progress(workspace_root: Path) -> bool:
    """Whether a training occupies any device of the workspace."""
    return bool(occupants(workspace_root))


def occupants(workspace_root: Path) -> list[InProgress]:
    """What occupies any device of the workspace."""
    folder = _path(workspace_root, "")
    names = [path.name for pattern in ("lock*", "current*.json") for path in folder.glob(pattern)]
    keys = {name.removesuffix(".json").partition("-")[2] for name in names}
    found = (_in_progress(workspace_root, key if key else DEFAULT) for key in sorted(keys))
    return [one for one in found if one is not None]


@contextmanager
def starting(workspace_root: Path) -> Iterator[None]:
    """Makes a start exclusive: inside, nothing is in progress on the device and nobody else starts anything there.

    Whoever starts a process inside has to call ``record_launch`` before leaving.

    Raises:
        Occupied: If a training is in progress, which it names, or another start does not come to an end.
        RunError: If a lock cannot be written.
    """
    with ExitStack() as held:
        for key in device_keys():
            fd = lock(_file(workspace_root, keyed("starting", key)), GUARD_SECONDS)
            if fd is None:
                raise Occupied("one training must start at a time, got another start that takes long; try again")
            held.callback(os.close, fd)
        _refuse_if_busy(workspace_root)
        yield


def record_launch(workspace_root: Path, name: str, folder: Path, identity: Identity) -> None:
    """Notes which process was launched, for those who ask before it has the lock.

    Raises:
        RunError: If it cannot be written.
    """
    facts = to_json({"name": name, "folder": folder, **identity.facts()})
    for key in device_keys():
        write_whole(_file(workspace_root, keyed("current.json", key)), facts)


def _refuse_if_busy(workspace_root: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while (found := in_progress(workspace_root)) is not None:
        if not found.ending or time.monotonic() > deadline:
            raise _busy(found.name)
        time.sleep(POLL_SECONDS)


def _busy(name: str) -> Occupied:
    return Occupied(
        f"one training must run at a time, got a second one while {name} is in progress; wait for it or stop it"
    )


def _in_progress(workspace_root: Path, key: str) -> InProgress | None:
    current = _current(workspace_root, key)
    if current is not None:
        return current
    if is_locked(_path(workspace_root, keyed("lock", key))):
        return InProgress(_holder(workspace_root, key), None, False)
    return None


def _current(workspace_root: Path, key: str) -> InProgress | None:
    """The launched process that occupies the device, if it is alive and not this one."""
    facts = read_object(_path(workspace_root, keyed("current.json", key)))
    if facts is None:
        return None
    identity = Identity.read(facts)
    if identity is None or identity.pid == os.getpid() or not identity.alive():
        return None
    folder = facts.get("folder")
    ending = isinstance(folder, str) and read_status(RunFolder(Path(folder))).final
    return InProgress(str(facts.get("name")), identity, ending, Path(folder) if isinstance(folder, str) else None)


def _launched_us(identity: Identity) -> bool:
    """Whether that process launched this one: an experiment's driver, or a launcher of several processes."""
    with suppress(psutil.Error):
        return any(parent.pid == identity.pid for parent in psutil.Process().parents())
    return False


def _holder(workspace_root: Path, key: str) -> str:
    facts = read_object(_path(workspace_root, keyed("lock", key)))
    name = None if facts is None else facts.get("name")
    return f'run "{name}"' if isinstance(name, str) and name else "another training"


def _path(workspace_root: Path, name: str) -> Path:
    return Path(workspace_root) / ".training" / name


def _file(workspace_root: Path, name: str) -> Path:
    path = _path(workspace_root, name)
    make_folder(path.parent)
    return path
