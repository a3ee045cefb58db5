"""The most memory that a process holds at once, as the kernel counts it."""

import re
from pathlib import Path

from core.errors import RunError

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> int:
    """Begins anew with counting, from what is held now, whose bytes it returns.

    Raises:
        RunError: the kernel does not count like this (it is no Linux).
    """
    try:
        RESET.write_text("5")  # see proc(5)
    except OSError as error:
        raise RunError(f"peak memory must be counted by Linux, got {error}; run this bench there") from error
    return _read("VmRSS")


def peak() -> int:
    """Bytes that were resident at most since :func:`reset_peak`."""
    return _read("VmHWM")


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.M)
    if found is None:
        raise RunError(f"{STATUS} must tell {name}, got nothing; run this bench on Linux")
    return int(found[1]) * 1024
