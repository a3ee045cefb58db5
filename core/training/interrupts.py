"""Ctrl-C in the terminal of a training: the first one asks for a stop that saves, the next one ends it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.process import request_stop, stop_requested

STDERR = 2
FIRST = b"\nsaving; Ctrl-C again ends at once\n"


@dataclass
class Interrupts:
    """How often this process was interrupted (SIGINT)."""

    count: int = 0


@contextmanager
def heard(folder: RunFolder, *, main: bool) -> Iterator[Interrupts]:
    """Inside, the first SIGINT asks for a stop as ``python -m core stop`` does; a second one interrupts at once.

    One that comes when a stop was asked for already interrupts at once too. Outside the main thread nothing is caught.

    Args:
        folder: The run.
        main: Whether this is the main process of several; a terminal interrupts them all, and it alone asks.
    """
    seen = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.count += 1
        if seen.count > 1 or (main and stop_requested(folder)):
            raise KeyboardInterrupt
        if main:
            _ask(folder)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _ask(folder: RunFolder) -> None:
    try:
        request_stop(folder)
    except RunError as error:  # where nothing can be asked for, an interrupt is all there is
        raise KeyboardInterrupt from error
    os.write(STDERR, FIRST)  # not by print: that may be what was interrupted
