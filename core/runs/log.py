"""The end of a log, bounded, as text."""

import os
from pathlib import Path

from core.regular import open_regular

CAUSE_LINES = 5


def log_tail(path: Path, lines: int = 200, limit: int = 1 << 16) -> list[str]:
    """The last lines of a log; empty where there is none.

    Of a line that a progress bar rewrote in place only the last state is given.

    Args:
        path: The log.
        lines: How many lines at most.
        limit: How many bytes to read from its end at most.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - limit, 0))
            data = file.read(limit)
    except OSError:
        return []
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    found = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    if size > limit and len(found) > 1:
        found = found[1:]
    while found and not found[-1]:
        found.pop()
    return found[-lines:]


def last_words(path: Path) -> str:
    """The last few non-empty lines of a log, for an error message; empty where it says nothing."""
    return "\n".join([line for line in log_tail(path) if line.strip()][-CAUSE_LINES:])
