"""Locks on files, which the system frees when their holder dies, whatever the cause."""

import fcntl
import os
import time
from pathlib import Path

from core.runs.files import cannot_write

POLL_SECONDS = 0.05


def lock(path: Path, seconds: float) -> int | None:
    """Locks a file for this process alone.

    Args:
        path: Made when missing; its folder must exist.
        seconds: How long to wait for another holder.

    Returns:
        The open file, which holds the lock until it is closed; None when another one held it all the time.

    Raises:
        RunError: If the file cannot be opened for writing.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from error
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(POLL_SECONDS)
        except OSError as error:
            os.close(fd)
            raise cannot_write(path, error) from error
        else:
            return fd


def is_locked(path: Path) -> bool:
    """Whether somebody holds that lock; a missing file is free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
