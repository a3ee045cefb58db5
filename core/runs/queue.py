"""The queue of trainings: an order in ``WORKSPACE/.training/queue.json``, and nothing else.

What waits are run and experiment folders that were made when they were queued, so that their configs are frozen. The
file is written whole under a lock of its own. Whoever loses it loses the order, never a training.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import RunError, reason_of
from core.regular import open_regular
from core.runs.file_lock import lock
from core.runs.files import cannot_write, make_folder, parse_object, to_json, write_whole
from core.runs.trainings import find_training, is_under_way
from core.runs.workspace import Workspace, is_slug

FILE, DAMAGED = "queue.json", "queue-damaged.json"
MOST_BYTES = 1 << 22
PATIENCE = 15.0  # seconds that a change waits for another one


@dataclass(frozen=True)
class Item:
    """A training in the queue.

    Attributes:
        selection: ``runs/NAME`` or ``experiments/NAME``.
        device: Where it was started; None while it waits for its turn.
        attempts: How often it was started since it last got further.
        progress: How far it was then, as ``Training.progress`` counts.
    """

    selection: str
    device: str | None = None
    attempts: int = 0
    progress: int = 0


@dataclass(frozen=True)
class Queue:
    """The order, first what was started, then what waits.

    Attributes:
        items: All trainings.
        held: Whether no next one may start.
        problem: A sentence on what of the file cannot be understood; None when all is well.
    """

    items: tuple[Item, ...] = ()
    held: bool = False
    problem: str | None = None

    @property
    def waiting(self) -> tuple[Item, ...]:
        """What has not been started, in its order."""
        return tuple(item for item in self.items if item.device is None)

    @property
    def started(self) -> tuple[Item, ...]:
        """What was started and is not settled yet."""
        return tuple(item for item in self.items if item.device is not None)

    def find(self, selection: str) -> Item:
        """The item of a training.

        Raises:
            RunError: If it is not in the queue.
        """
        for item in self.items:
            if item.selection == selection:
                return item
        raise RunError(f'training must be one of the queue, got "{selection}", which is not in it')

    def without(self, selection: str) -> Queue:
        """The same without one training."""
        return replace(self, items=tuple(item for item in self.items if item.selection != selection))

    def started_with(self, item: Item) -> Queue:
        """The same with an item, started, before all that waits."""
        others = self.without(item.selection)
        return replace(others, items=(*others.started, item, *others.waiting))


@dataclass
class Change:
    """What the queue is to be when the change is over; the file is written if it differs."""

    queue: Queue


def read_queue(root: Path) -> Queue:
    """The queue of a workspace as it stands; never raises. A file that cannot be understood gives a problem."""
    path = queue_path(root)
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES)
    except FileNotFoundError:
        return Queue()
    except OSError as error:
        return Queue(problem=_problem(path, f"an error: {reason_of(error)}"))
    facts = parse_object(data)
    rows = None if facts is None else facts.get("items")
    if facts is None or not isinstance(rows, list):
        return Queue(problem=_problem(path, "something else"))
    found = {item.selection: item for row in rows if (item := _item(row)) is not None}
    problem = None if len(found) == len(rows) else _problem(path, f"{len(rows) - len(found)} lines of something else")
    return Queue(tuple(found.values()), facts.get("held") is True, problem)


def items(root: Path) -> tuple[Item, ...]:
    """All trainings of the queue, first what was started."""
    return read_queue(root).items


def waiting(root: Path) -> int:
    """How many trainings wait for their turn; one small file is read."""
    return len(read_queue(root).waiting)


def enqueue(workspace: Workspace, selection: str) -> int:
    """Puts a training at the end of the queue; see that a runner lives (``core.runs.queue_runner.ensure_runner``).

    Args:
        workspace: Where it lies.
        selection: ``runs/NAME`` or ``experiments/NAME``; one that was stopped, failed or lost goes on when it is its
            turn.

    Returns:
        Its place among those that wait, from 1.

    Raises:
        RunError: If there is no such training, it is in the queue, under way or done, or the queue cannot be written.
    """
    training = find_training(workspace, selection)
    with changing(workspace.root) as change:
        if any(item.selection == selection for item in change.queue.items):
            raise RunError(f"training to queue must be one that is not in the queue, got {training.name}, which is")
        label = training.label()
        if label == "done":
            raise RunError(f"training to queue must be one that is not done, got {training.name}; make a new one of it")
        if is_under_way(label):
            raise RunError(f"training to queue must be one that is not under way, got {training.name}, which is")
        change.queue = replace(change.queue, items=(*change.queue.items, Item(selection)))
    return len(change.queue.waiting)


def dequeue(workspace: Workspace, selection: str) -> None:
    """Takes a training out of the queue; its folder stays as it is.

    Raises:
        RunError: If it is not in the queue or under way, or the queue cannot be written.
    """
    with changing(workspace.root) as change:
        was_started = change.queue.find(selection).device is not None
        if was_started and is_working(workspace, selection):
            raise RunError(f'training to remove must be one that waits, got "{selection}"; stop it instead')
        change.queue = change.queue.without(selection)


def move(workspace: Workspace, selection: str, place: int) -> None:
    """Gives a training that waits another place; the others close up.

    Args:
        workspace: Whose queue.
        selection: Which training.
        place: From 1, the next to start.

    Raises:
        RunError: If it is not in the queue or was started, there is no such place, or the queue cannot be written.
    """
    with changing(workspace.root) as change:
        queue = change.queue
        item = queue.find(selection)
        if item.device is not None:
            raise RunError(f'training to move must be one that waits, got "{selection}", which was started')
        if not 1 <= place <= len(queue.waiting):
            raise RunError(f"place must be between 1 and {len(queue.waiting)}, got {place}")
        others = list(queue.without(selection).waiting)
        others.insert(place - 1, item)
        change.queue = replace(queue, items=(*queue.started, *others))


def hold(workspace: Workspace) -> None:
    """Lets no next training start; what is under way goes on.

    Raises:
        RunError: If the queue cannot be written.
    """
    with changing(workspace.root) as change:
        change.queue = replace(change.queue, held=True)


def release(workspace: Workspace) -> None:
    """Lets the next trainings start again; see that a runner lives (``core.runs.queue_runner.ensure_runner``).

    Raises:
        RunError: If the queue cannot be written.
    """
    with changing(workspace.root) as change:
        change.queue = replace(change.queue, held=False)


@contextmanager
def changing(root: Path) -> Iterator[Change]:
    """Makes a change exclusive. Nothing is written after an error inside, or where nothing was changed.

    A file that cannot be understood is set aside when it is written over.

    Raises:
        RunError: If another change does not come to an end, or the file cannot be written.
    """
    path = queue_path(root)
    make_folder(path.parent)
    fd = lock(path.with_name("queue.lock"), PATIENCE)
    if fd is None:
        raise RunError("one change must be made to the queue at a time, got another that takes long; try again")
    try:
        before = read_queue(root)
        change = Change(before)
        yield change
        if change.queue != before:
            if before.problem is not None:
                _set_aside(path)
            rows = [asdict(item) for item in change.queue.items]
            write_whole(path, to_json({"held": change.queue.held, "items": rows}, indent=2), durable=True)
    finally:
        os.close(fd)


def is_working(workspace: Workspace, selection: str) -> bool:
    """Whether a training is under way; one that is not there any more is not."""
    try:
        return is_under_way(find_training(workspace, selection).label())
    except RunError:
        return False


def queue_path(root: Path) -> Path:
    """The order of a workspace's queue."""
    return Path(root) / ".training" / FILE


def _set_aside(path: Path) -> None:
    try:
        os.replace(path, path.with_name(DAMAGED))
    except OSError as error:
        raise cannot_write(path, error) from error


def _problem(path: Path, found: str) -> str:
    return (
        f"{path} must hold the order of the queue, got {found}; "
        "no training is lost: put those that were not started in the queue again"
    )


def _item(row: Any) -> Item | None:
    """An item out of what the file holds; None where it names no training."""
    if not isinstance(row, dict) or not isinstance(row.get("selection"), str):
        return None
    kind, _, name = row["selection"].partition("/")
    device, counts = row.get("device"), [row.get("attempts"), row.get("progress")]
    if kind not in ("runs", "experiments") or not is_slug(name) or not isinstance(device, str | None):
        return None
    attempts, progress = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return Item(row["selection"], device, attempts, progress)
