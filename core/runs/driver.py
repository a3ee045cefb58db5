"""Trains several run folders one after another, each in a process of its own, and stops cleanly."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.launch import Child, kill_group, launch, record_end
from core.runs.process import press_stop, request_stop, stop_requested
from core.runs.records import record_event
from core.runs.status import State, derive_state

POLL_SECONDS = 0.2

Say = Callable[[str], None]
Command = Callable[[RunFolder], Sequence[str]]


@dataclass
class Interrupts:
    """How often the driver was told to end (SIGINT, SIGTERM)."""

    count: int = 0


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Counts SIGINT and SIGTERM while inside instead of dying of them; outside the main thread nothing is caught."""
    seen = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.count += 1

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Driver:
    """Trains runs in their order for one experiment folder.

    Attributes:
        folder: The experiment's folder: its control file stops the driver, its journal tells what happened.
        writer: Writes the experiment's status.
    """

    def __init__(self, folder: RunFolder, writer: StatusWriter, command: Command, say: Say, grace: float) -> None:
        """Takes what it needs; nothing starts yet.

        Args:
            folder: The experiment's folder.
            writer: The writer of its status.
            command: The argument list that trains a run.
            say: Takes a line for people.
            grace: Seconds until each next signal when an arm is to stop.
        """
        self.folder = folder
        self.writer = writer
        self._command = command
        self._say = say
        self._grace = grace
        self._interrupts = Interrupts()

    def train(self, runs: Sequence[RunFolder]) -> bool:
        """Trains each run that is not done yet; one that fails does not keep the others from starting.

        Returns:
            Whether the driver was told to stop.
        """
        with interrupts() as self._interrupts:
            for place, run in enumerate(runs):
                if self._told_to_stop():
                    return True
                self.writer.update(
                    phase="training",
                    step=place,
                    total=len(runs),
                    message=f"arm {place + 1} of {len(runs)}: {run.name}",
                    progress=place / len(runs),
                )
                if derive_state(run).label != "done":
                    self._train(run)
            return self._told_to_stop()

    def _train(self, run: RunFolder) -> None:
        began = time.monotonic()
        self._say(f"{run.name}: started, log in {run.log_path}")
        try:
            child = launch(run, self._command(run))
        except RunError as error:
            record_event(self.folder.events_path, "exit", f"{run.name} could not be started: {error}", arm=run.name)
            self._say(f"{run.name}: failed: {error}")
            return
        code = self._wait(run, child)
        state = derive_state(run)
        minutes = (time.monotonic() - began) / 60
        text = f"{run.name}: {state.label} after {minutes:.1f} min"
        record_event(self.folder.events_path, "exit", text, arm=run.name, code=code, label=state.label)
        self._say(f"{text}: {state.message}" if state.label == "failed" else text)

    def _wait(self, run: RunFolder, child: Child) -> int:
        """Waits for a child, passes a stop on to it, and records its end."""
        while child.poll() is None:
            if self._told_to_stop() and not stop_requested(run):
                request_stop(run, self._grace)
            if self._interrupts.count > 1:
                kill_group(child)
            press_stop(run)
            self.writer.beat()
            time.sleep(POLL_SECONDS)
        return record_end(run, child).code

    def _told_to_stop(self) -> bool:
        return self._interrupts.count > 0 or stop_requested(self.folder)


def outcome(states: Sequence[tuple[str, State]]) -> str | None:
    """One sentence on the arms that did not end well; None when all are done."""
    bad = [f"{name} {state.label}" for name, state in states if state.label != "done"]
    return f"{len(bad)} of {len(states)} arms did not end well: {', '.join(bad)}" if bad else None
