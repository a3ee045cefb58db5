"""``python -m core queue``: what waits to be trained, in which order, and the process that trains it."""

import json
from typing import Annotated

import typer

from core.cli.common import WorkspaceOption, app, open_workspace

queue = typer.Typer(
    help="Lists the trainings of the queue, or changes their order. Their configs are frozen when they are queued.",
    invoke_without_command=True,
)
app.add_typer(queue, name="queue")

Named = Annotated[
    str, typer.Argument(help="Its name in the workspace, with runs/ or experiments/ before it where both have it.")
]


@queue.callback()
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Lists the trainings of the queue, or changes their order. Their configs are frozen when they are queued."""
    if context.invoked_subcommand is not None:
        if workspace is not None or as_json:
            raise typer.BadParameter(f"--json and --workspace must stand behind {context.invoked_subcommand}")
        return
    from core.errors import RunError
    from core.runs.queue import read_queue
    from core.runs.queue_runner import runner_lives

    space = open_workspace(workspace)
    known = read_queue(space.root)
    rows = _rows(space, known)
    lives = runner_lives(space.root)
    if as_json:
        print(json.dumps({"held": known.held, "runner": lives, "problem": known.problem, "items": rows}))
    else:
        print("\n".join(_lines(rows, known.held, lives)))
    if known.problem is not None:
        raise RunError(known.problem)


@queue.command()
def add(training: Named, workspace: WorkspaceOption = None) -> None:
    """Puts a run or an experiment at the end of the queue: one that has not begun, or was stopped, failed or lost."""
    from core.runs.trainings import selection_of

    space = open_workspace(workspace)
    put(space, selection_of(space, training))


@queue.command()
def move(
    training: Named,
    place: Annotated[int, typer.Argument(min=1, help="From 1, the next to start.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Gives a training that waits another place."""
    from core.runs.queue import move as move_training

    space = open_workspace(workspace)
    selection = _queued(space, training)
    move_training(space, selection, place)
    print(f"{selection}: place {place}")


@queue.command()
def remove(training: Named, workspace: WorkspaceOption = None) -> None:
    """Takes a training that waits out of the queue; its folder stays."""
    from core.runs.queue import dequeue

    space = open_workspace(workspace)
    selection = _queued(space, training)
    dequeue(space, selection)
    print(f"{selection}: taken out of the queue; its folder stays")


@queue.command()
def hold(workspace: WorkspaceOption = None) -> None:
    """Lets no next training start; what is under way goes on."""
    from core.runs.queue import hold as hold_queue

    hold_queue(open_workspace(workspace))
    print("held: what is under way goes on, and no next training starts before `queue release`")


@queue.command()
def release(workspace: WorkspaceOption = None) -> None:
    """Lets the next trainings start again."""
    from core.runs.queue import release as release_queue
    from core.runs.queue_runner import ensure_runner

    space = open_workspace(workspace)
    release_queue(space)
    ensure_runner(space)
    print("released: trainings start in their order")


@queue.command()
def run(workspace: WorkspaceOption = None) -> None:
    """Trains the queue, one training after another on this device, until it is empty; Ctrl-C ends no training.

    Adding to the queue and starting the page do the same in the background.
    """
    from core.runs.queue_runner import run_queue

    run_queue(open_workspace(workspace), say=lambda line: print(line, flush=True))


def put(workspace, selection: str) -> None:
    """Queues a training, says its place, and sees that somebody trains it."""
    from core.runs.queue import enqueue, read_queue
    from core.runs.queue_runner import ensure_runner

    place = enqueue(workspace, selection)
    ensure_runner(workspace)
    held = "; the queue is held: `queue release` lets it go on" if read_queue(workspace.root).held else ""
    print(f"queued: {selection}, place {place}{held}", flush=True)


def _queued(workspace, typed: str) -> str:
    """The training of the queue that somebody typed, its folder there or not; else as everywhere."""
    from core.runs.queue import items
    from core.runs.trainings import selection_of

    known = [item.selection for item in items(workspace.root)]
    found = [selection for selection in known if typed in (selection, selection.partition("/")[2])]
    return found[0] if len(found) == 1 else selection_of(workspace, typed)


def _rows(workspace, known) -> list[dict]:
    """A row for each training of the queue, first what was started."""
    from core.errors import RunError
    from core.runs.trainings import find_training

    rows, place = [], 0
    for item in known.items:
        place += item.device is None
        try:
            training = find_training(workspace, item.selection)
            title, label = training.title, training.label()
        except RunError:
            title, label = "", "gone"
        rows.append({
            "training": item.selection, "title": title, "label": label, "place": None if item.device else place,
            "device": item.device, "attempts": item.attempts,
        })  # fmt: skip
    return rows


def _lines(rows: list[dict], held: bool, lives: bool) -> list[str]:
    if not rows:
        return ["nothing is queued" + ("; the queue is held" if held else "")]
    lines = [
        f"{'now' if row['place'] is None else row['place']:>4}  {row['training']:48} {row['label']:9} {row['title']}"
        for row in rows
    ]
    if held:
        lines.append("held: no next training starts before `queue release`")
    elif not lives:
        lines.append("no runner lives: `queue run`, `queue release` or the start of the page lets it go on")
    return lines
