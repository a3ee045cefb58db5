"""The queue on the Launch tab: what runs and what waits, its order, and how it is held."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.design import Design
from app.html import checklist
from app.journals import file_signature
from app.launching import asked_for, name_of
from app.parts import ACT, QUIET, Live, Parts, Rendered, text_output
from app.queue_table import find_queued, queue_html, title_of
from app.workbench import Workbench
from core.config.foreign.kept import kept_text
from core.errors import WorkbenchError
from core.runs.measurement import FOLDER
from core.runs.queue import dequeue, enqueue, hold, move, queue_path, read_queue, release
from core.runs.queue_runner import ensure_runner, runner_lives, runner_log
from core.runs.trainings import find_training, never_started
from core.runs.workspace import Workspace

BUTTONS = {"up": "Up", "down": "Down", "remove": "Remove", "add": "Put in"}
CHOOSE = "choose a training of the list first"
HELP = (
    "One training after another, also while this page is closed; one that fails lets the next start. "
    "After a restart of the machine the page goes on with it."
)


def build(parts: Parts) -> None:
    """Makes the section's components."""
    gr.Markdown("## Queue", elem_classes=["rw-heading"])
    gr.Markdown(HELP, elem_classes=["rw-note"])
    parts["queue.list"] = text_output("queue-list")
    parts["queue.picked"] = gr.Textbox(value="", visible=False, label="queue.picked")
    with gr.Row(elem_classes=["rw-bar"]) as parts["queue.controls"]:
        parts["queue.pick"] = gr.Dropdown(
            [],
            value=None,
            label="Training that waits",
            info="The buttons move it or take it out; its folder stays. One that was never started can be put in.",
            interactive=True,
            filterable=False,
            elem_id="pick-queued",
            scale=3,
            min_width=240,
        )
        for name, text in BUTTONS.items():
            parts[f"queue.{name}"] = gr.Button(text, size="sm", scale=0, min_width=90, elem_id=f"queue-{name}")
        parts["queue.hold"] = gr.Button("Hold", size="sm", scale=0, min_width=90, elem_id="queue-hold")
        parts["queue.release"] = gr.Button("Release", size="sm", scale=0, min_width=90, elem_id="queue-release")
    parts["queue.message"] = text_output("queue-message")
    picked = [parts["queue.picked"]]
    controls = [parts["queue.controls"], parts["queue.pick"]]
    parts.lives.append(Live("queue.list", "launch", [], [parts["queue.list"]], lambda known: render_list(parts, known)))
    parts.lives.append(
        Live("queue.controls", "launch", picked, controls, lambda known, value: render_controls(parts, known, value))
    )


def share(parts: Parts, design: Sequence[Any], name: Any, preset: Any) -> None:
    """Names what [Add to queue] does; the launch tab holds its inputs."""
    parts.chains["enqueue"] = {
        "fn": lambda *values: add_new(
            parts, Design.read(parts.workbench.paths, *values[: len(design)]), *_after(values, len(design))
        ),
        "inputs": [*design, name, preset, parts["configure.imported"], *parts.options],
        "outputs": [parts["launch.message"], parts["configure.problems"]],
        **ACT,
    }


def _after(values: Sequence[Any], design: int) -> tuple[Any, Any, Any, Any]:
    """Name, preset, options and what is kept of an import, which follow the inputs of the design."""
    return values[design], values[design + 1], values[design + 3 :], values[design + 2]


def wire(parts: Parts) -> None:
    """Binds the section's events."""
    # what was chosen may be gone by now, so the list's own check of it is left out and the handlers ask the queue;
    # a button takes what the list shows, not what the page's server has heard of
    parts["queue.pick"].input(
        lambda picked: picked if isinstance(picked, str) else "",
        parts["queue.pick"],
        parts["queue.picked"],
        preprocess=False,
        **QUIET,
    )
    for name in (*BUTTONS, "hold", "release"):
        parts[f"queue.{name}"].click(
            lambda picked, name=name: act(parts, name, picked),
            parts["queue.pick"],
            parts["queue.message"],
            preprocess=False,
            **ACT,
        ).then(**parts.chains["tick"])


def go_on(workspace: Workspace) -> None:
    """Lets the queue go on where a restart of the machine left it; says on the terminal what keeps it from that."""
    try:
        ensure_runner(workspace)
    except WorkbenchError as error:
        print(f"The queue stands still: {error}", file=sys.stderr)
    problem = read_queue(workspace.root).problem
    if problem is not None:
        print(problem, file=sys.stderr)


def add_new(parts: Parts, design: Design, title: object, preset: str, raw: Any, imported: object = "") -> list[Any]:
    """Makes the folders of what the form holds and queues it; says its place, or why it cannot be."""
    config, found, marks = asked_for(parts, design, raw, now=False)
    if config is None:
        return [found, marks]
    workbench = parts.workbench
    name = name_of(parts, design, title, preset, config)
    try:
        made = workbench.make(
            config, design.mode, name, arms=design.arms, seeds=design.seeds, primary=design.primary, preset=preset,
            sweep=design.sweep, imported=kept_text(imported).section,
        )  # fmt: skip
        said = put(workbench, str(made))
    except WorkbenchError as error:
        return [checklist([("fail", "Queue", str(error))]), ""]
    return [checklist([("pass", "Queue", said)]), ""]


def put(workbench: Workbench, selection: str) -> str:
    """Queues a training whose folder is there, and says its place.

    Raises:
        WorkbenchError: If it cannot be queued, or no runner can be started.
    """
    place = enqueue(workbench.workspace, selection)
    ensure_runner(workbench.workspace)
    title = find_training(workbench.workspace, selection).title
    held = " The queue is held: press Release to let it go on." if read_queue(workbench.workspace.root).held else ""
    return f"{title} waits at place {place}. Its settings are frozen: later changes of the form do not touch it.{held}"


def act(parts: Parts, name: str, picked: object) -> str:
    """What a button of the section did, or why it cannot."""
    try:
        said = _ACTIONS[name](parts.workbench, picked if isinstance(picked, str) else "")
    except WorkbenchError as error:
        return f'<div role="status">{checklist([("fail", "Queue", str(error))])}</div>'
    return f'<div role="status">{checklist([("pass", "Queue", said)])}</div>'


def _moved(workbench: Workbench, picked: str, by: int) -> str:
    order = [item.selection for item in read_queue(workbench.workspace.root).waiting]
    if picked not in order:
        return f"Nothing was moved: {CHOOSE}, one that waits."
    place = order.index(picked) + 1 + by
    title = title_of(workbench.workspace, picked)
    if not 1 <= place <= len(order):
        return f"{title} is the {'next to start' if by < 0 else 'last'} already."
    move(workbench.workspace, picked, place)
    return f"{title} is at place {place} now."


def _removed(workbench: Workbench, picked: str) -> str:
    if not picked:
        return f"Nothing was removed: {CHOOSE}."
    dequeue(workbench.workspace, picked)
    return (
        f"{title_of(workbench.workspace, picked)} was taken out of the queue. Its folder stays: Put in brings it back."
    )


def _held(workbench: Workbench, picked: str) -> str:
    hold(workbench.workspace)
    return "The queue is held: what is under way goes on, and no next training starts."


def _released(workbench: Workbench, picked: str) -> str:
    release(workbench.workspace)
    ensure_runner(workbench.workspace)
    return "The queue goes on: trainings start in their order."


_ACTIONS: dict[str, Callable[[Workbench, str], str]] = {
    "up": lambda workbench, picked: _moved(workbench, picked, -1),
    "down": lambda workbench, picked: _moved(workbench, picked, 1),
    "remove": _removed,
    "add": lambda workbench, picked: put(workbench, picked) if picked else f"Nothing was put in: {CHOOSE}.",
    "hold": _held,
    "release": _released,
}


def render_list(parts: Parts, known: str) -> Rendered:
    """What runs, what waits, and what the queue did last."""
    workspace = parts.workbench.workspace
    queue = read_queue(workspace.root)
    lives = runner_lives(workspace.root)
    folders = [workspace.root / item.selection / "status.json" for item in queue.items]
    files = [queue_path(workspace.root), runner_log(workspace.root), workspace.root / FOLDER, *folders]
    labels = [found.label() for item in queue.started if (found := find_queued(workspace, item)) is not None]
    signature = f"{lives} {labels} {file_signature(*files)}"
    if signature == known:
        return known, None
    return signature, [queue_html(workspace, queue, lives)]


def render_controls(parts: Parts, known: str, picked: object) -> Rendered:
    """What can be chosen: what waits, in its order, and what was never started."""
    workspace = parts.workbench.workspace
    queue = read_queue(workspace.root)
    queued = [item.selection for item in queue.items]
    waits = [(f"{place}. {title_of(workspace, item.selection)}", item.selection)
             for place, item in enumerate(queue.waiting, 1)]  # fmt: skip
    left = [(f"not in the queue: {title_of(workspace, selection)}", selection)
            for selection in never_started(workspace) if selection not in queued]  # fmt: skip
    choices = [*waits, *left]
    shown = bool(queued or left or queue.held)
    signature = repr((choices, picked, shown))
    if signature == known:
        return known, None
    chosen = next((name for _, name in choices if name == picked), None)
    return signature, [gr.Row(visible=shown), gr.Dropdown(choices=choices, value=chosen)]
