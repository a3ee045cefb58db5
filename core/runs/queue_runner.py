"""The process that starts one training of the queue after another, ``python -m core queue run``.

Each training is a process of its own session, which outlives the runner. The runner holds a lock for each of its
devices while it lives, and ends when nothing is left to start. One that begins anew looks first for what was under way:
it waits for it, or goes on with it from its last checkpoint where it was lost. No decision looks at the clock.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from core.errors import RunError
from core.runs.device import device_keys, keyed
from core.runs.file_lock import is_locked, lock
from core.runs.files import make_folder
from core.runs.launch import spawn
from core.runs.lock import Occupied, training_in_progress
from core.runs.queue import Change, Item, changing, is_working, queue_path, read_queue
from core.runs.records import record_event
from core.runs.trainings import Training, find_training, is_under_way
from core.runs.workspace import Workspace

POLL_SECONDS = 1.0
LOCK_SECONDS = 2.0  # how long a runner waits for its lock: somebody may just be asking whether one lives
MOST_ATTEMPTS = 3
EVENT = "queue"

Say = Callable[[str], None]
Command = Callable[[Training], Sequence[str]]


def run_queue(
    workspace: Workspace, *, say: Say = print, command: Command | None = None, poll: float = POLL_SECONDS
) -> None:
    """Trains what the queue holds until nothing is left to start, or nothing may start because it is held.

    Args:
        workspace: Whose queue.
        say: Takes a line for people.
        command: The program of a training's process, in place of the usual one.
        poll: Seconds between two looks.

    Raises:
        RunError: If another runner serves this device, or the workspace cannot be written.
    """
    with ExitStack() as held:
        for key in device_keys():
            path = _lock_path(workspace.root, key)
            make_folder(path.parent)
            fd = lock(path, LOCK_SECONDS)
            if fd is None:
                raise RunError(f'one runner must serve a device, got a second one for "{key}"; the first goes on')
            held.callback(os.close, fd)
        runner = Runner(workspace, say, command, held.close)
        while runner.turn():
            time.sleep(poll)


def ensure_runner(workspace: Workspace, command: Sequence[str] | None = None) -> bool:
    """Starts a runner in the background if there is something for it to do and none lives on this device.

    Args:
        workspace: Whose queue.
        command: Another program than ``python -m core queue run``.

    Returns:
        Whether one was started.

    Raises:
        RunError: If its log cannot be written or it cannot be started.
    """
    queue = read_queue(workspace.root)
    if queue.held or not queue.items or runner_lives(workspace.root):
        return False
    argv = [sys.executable, "-m", "core", "queue", "run", "--workspace", str(workspace.root)]
    child = spawn(argv if command is None else command, runner_log(workspace.root))
    threading.Thread(target=child.wait, name=f"runner-{child.pid}", daemon=True).start()  # leaves no zombie
    return True


def runner_lives(root: Path, device: str | None = None) -> bool:
    """Whether a runner serves a device, as ``Item.device`` names it; this process's own one unless told."""
    keys = device_keys() if device is None else device.split(",")
    return any(is_locked(_lock_path(root, key)) for key in keys)


def runner_log(root: Path) -> Path:
    """What the runners said, of all devices."""
    return queue_path(root).with_suffix(".log")


class Runner:
    """Serves the queue on one device. It remembers nothing that matters: the queue and the run folders hold it all."""

    def __init__(self, workspace: Workspace, say: Say, command: Command | None, resign: Callable[[], None]) -> None:
        """Takes what it needs; nothing starts yet.

        Args:
            workspace: Whose queue.
            say: Takes a line for people.
            command: The program of a training's process.
            resign: Gives the runner's lock back.
        """
        self.device = ",".join(device_keys())
        self._workspace = workspace
        self._say = say
        self._command = command
        self._resign = resign
        self._said = ""

    def turn(self) -> bool:
        """Does what is due; returns whether to come again."""
        root = self._workspace.root
        own = next((item for item in read_queue(root).items if item.device == self.device), None)
        if own is not None and is_working(self._workspace, own.selection):
            return True
        goes_on = True
        try:
            with changing(root) as change:
                ended = self._take_out(change)
                goes_on = self._go_on(change)
        except RunError as error:  # a full disk, for example: what was started goes on, and so does the queue later
            self._say_once(str(error))
            return goes_on
        for training, text in ended:
            self._tell(training, text)
        return goes_on

    def _take_out(self, change: Change) -> list[tuple[Training | None, str]]:
        """Takes out of the queue what was started here and is over; returns what to tell about it."""
        told: list[tuple[Training | None, str]] = []
        for item in change.queue.started:
            if not self._is_ours(item):
                continue
            training = self._find(item)
            verdict = _verdict(item, training)
            if verdict is not None:
                change.queue = change.queue.without(item.selection)
                told.append((training, verdict))
        return told

    def _go_on(self, change: Change) -> bool:
        """Starts what is next, unless the device is occupied; returns whether to come again."""
        queue = change.queue
        if queue.problem is not None:
            self._say_once(queue.problem)
        if queue.held or not (queue.waiting or any(self._is_ours(item) for item in queue.started)):
            self._resign()  # before the queue is open to others: who adds to it then finds no runner and starts one
            return False
        busy = training_in_progress(self._workspace.root)
        if busy is None:
            self._start_next(change)
            return True
        adopted = next((item for item in queue.items if self._is_called(item, busy)), None)
        if adopted is None:
            self._say_once(f"{busy} is in progress; the queue goes on after it")
        else:
            change.queue = queue.started_with(replace(adopted, device=self.device))
        return True

    def _start_next(self, change: Change) -> None:
        """Starts what was lost here, else the first that waits and that nobody trains on another device."""
        queue = change.queue
        ours = [item for item in queue.started if self._is_ours(item)]
        for item in (*ours, *queue.waiting):
            training = self._find(item)
            if training is None or not is_under_way(training.label()):
                self._start(change, item, training)
                return

    def _start(self, change: Change, item: Item, training: Training | None) -> None:
        if training is None or training.label() == "done":
            change.queue = change.queue.without(item.selection)
            self._say(f"{item.selection}: {'is done' if training else 'its folder is gone'}; taken out of the queue")
            return
        progress = training.progress()
        attempts = 1 + (0 if progress > item.progress else item.attempts)
        try:
            training.start(None if self._command is None else self._command(training))
        except Occupied as error:
            self._say_once(f"{item.selection}: waits: {error}")
            return
        except RunError as error:
            change.queue = change.queue.without(item.selection)
            self._tell(training, f"could not be started, and the queue went on: {error}")
            return
        self._said = ""
        self._say(f"{item.selection}: started")
        change.queue = change.queue.started_with(
            replace(item, device=self.device, attempts=attempts, progress=progress)
        )

    def _is_ours(self, item: Item) -> bool:
        """Whether this runner looks after what was started: it did so itself, or the one that did is gone."""
        return item.device == self.device or not runner_lives(self._workspace.root, item.device)

    def _is_called(self, item: Item, name: str) -> bool:
        training = self._find(item)
        return training is not None and training.name == name

    def _find(self, item: Item) -> Training | None:
        """The item's training; None when its folder is gone."""
        try:
            return find_training(self._workspace, item.selection)
        except RunError:
            return None

    def _tell(self, training: Training | None, text: str) -> None:
        """Says it, and keeps it with the training."""
        self._say(text if training is None else f"{training.selection}: {text}")
        if training is not None:
            with suppress(RunError):  # a full disk or a folder that was just deleted: it was said in the log
                record_event(training.folder.events_path, EVENT, text, label=training.label())

    def _say_once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say(line)


def _verdict(item: Item, training: Training | None) -> str | None:
    """Why an item that was started is over for the queue; None while it is not."""
    if training is None:
        return f"{item.selection}: its folder is gone; the queue goes on"
    label = training.label()
    if label in ("done", "stopped", "failed"):
        return f"{label}; the queue goes on"
    if label == "lost" and training.progress() <= item.progress and item.attempts >= MOST_ATTEMPTS:
        return f"lost {item.attempts} times without getting any further; the queue leaves it and goes on"
    return None


def _lock_path(root: Path, key: str) -> Path:
    return queue_path(root).with_name(keyed("runner", key))
