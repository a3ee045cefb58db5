"""Room on a disk: asked for before something large is written, so that a run stops early and says what it needs."""

import shutil
from pathlib import Path

from core.errors import RunError
from core.runs.files import cannot_write

RESERVE = 16 * 2**20
"""Bytes that stay free for what is small: journals, pictures, the log, the status and its last word."""


def require_room(folder: Path, size: int, what: str) -> None:
    """Passes where ``size`` bytes and the reserve are free.

    Args:
        folder: On the disk that is meant; it must exist.
        size: In bytes.
        what: What is about to be written, in words.

    Raises:
        RunError: There is less; names what is needed and what is free.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise cannot_write(folder, error) from error
    needed = size + RESERVE
    if free < needed:
        rule = f"the disk of {folder} must have {_mib(needed)} free for {what}, got {_mib(free)}"
        raise RunError(f"{rule}; free some space on that disk")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
