"""The status strip on top of every tab, and the buttons that act on a training that runs."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from app.entries import Arm, Entry
from app.html import chip, escape, progress
from app.parts import ACT, Live, Parts, Rendered, text_output
from app.view import bar, doing, duration, rate_text
from app.workbench import Workbench
from core.errors import RunError, WorkbenchError
from core.runs.experiment import advance_experiment_stop, find_experiment, kill_experiment
from core.runs.folder import RunFolder
from core.runs.process import advance_stop, follow_stop, kill_run, stop_progress
from core.runs.queue import waiting
from core.runs.requests import continue_run, is_requested, pause_run, request_sample, request_save

BUTTONS = {"pause": "Pause", "continue": "Continue", "stop": "Stop and save", "kill": "Kill"}
QUESTIONS = {
    "stop": "Stop this training? It saves what it has. Then the queue goes on, unless it is held.",
    "kill": "End this training at once? What it did since its last checkpoint is lost. The queue goes on then.",
}
FRESH = 5.0
"""Seconds up to which a heartbeat is of now: it comes once a second, and in long phases a little later."""
TOLD_SECONDS = 4.0
"""So long a sentence covers a corner of the page."""
AT_WORK = ("running", "paused", "stopping")


def build(parts: Parts) -> None:
    """Makes the strip and its buttons."""
    with gr.Row(elem_classes=["rw-bar", "rw-top"]):
        parts["strip"] = text_output("strip", scale=1, min_width=240)
        for name, text in BUTTONS.items():
            variant = "stop" if name == "kill" else "secondary"
            parts[name] = gr.Button(
                text, variant=variant, size="sm", scale=0, min_width=80, visible=False, elem_id=name
            )
    parts["active"] = gr.Textbox(value="", visible=False, label="active")
    buttons = [parts[name] for name in BUTTONS]
    parts.lives.insert(
        0, Live("strip", "", [], [parts["strip"], parts["active"]], lambda known: render_strip(parts, known))
    )
    parts.lives.insert(1, Live("buttons", "", [], buttons, lambda known: render_buttons(parts, known)))


def wire(parts: Parts) -> None:
    """Binds the buttons; a question is asked before what cannot be taken back."""
    works = {"pause": pause, "continue": go_on, "stop": stop, "kill": kill}
    for name, work in works.items():
        parts[name].click(
            lambda run, work=work: say(lambda: work(parts.workbench, run)),
            parts["active"], None, js=_question(QUESTIONS.get(name)), **ACT,
        ).then(**parts.chains["tick"])  # fmt: skip


def _question(text: str | None) -> str | None:
    return text and f"(run) => {{ if (!confirm('{text}')) throw new Error('cancelled'); return run; }}"


def say(work: Callable[[], str]) -> None:
    """Does something and shows the sentence that tells what, or why not."""
    try:
        gr.Info(escape(work()), duration=TOLD_SECONDS)
    except WorkbenchError as error:
        raise gr.Error(escape(error), print_exception=False) from error


def render_strip(parts: Parts, known: str) -> Rendered:
    """The line on what is running."""
    entry = parts.workbench.active()
    problem = ""
    if entry is not None:
        try:
            parts.workbench.advance_stops(entry)
        except RunError as error:  # a full disk takes no note of the next signal; [Kill] needs none
            problem = str(error)
    html = strip(parts.workbench, entry, problem)
    if html == known:
        return known, None
    return html, [html, str(entry.selection) if entry else ""]


def render_buttons(parts: Parts, known: str) -> Rendered:
    """The buttons that go with what is running."""
    shown = buttons_of(parts.workbench.active())
    signature = str(shown)
    return (known, None) if signature == known else (signature, [gr.Button(visible=name in shown) for name in BUTTONS])


def buttons_of(entry: Entry | None) -> tuple[str, ...]:
    """Which buttons make sense now."""
    if entry is None or entry.label not in AT_WORK:
        return ()
    if entry.label == "stopping":
        return ("kill",)
    if entry.active is None:  # between two arms
        return ("stop", "kill")
    return ("continue" if is_requested(entry.active.folder, "pause") else "pause", "stop", "kill")


def strip(workbench: Workbench, entry: Entry | None, problem: str = "") -> str:
    """What runs, how far it is and when it was heard last, and how many trainings wait behind it, in one line."""
    behind = waiting(workbench.workspace.root)
    queue = f"{behind} in the queue" if behind else ""
    if entry is None:
        text = f"Nothing is training{f', {queue}' if queue else ''}."
        return f'<div class="rw-strip" role="status">{chip("idle", "idle")}<span>{text}</span></div>'
    arm = entry.active if entry.active is not None else entry.arms[0]
    status = arm.state.status
    told = [
        place(entry, arm), activity(entry, arm), f"step {status.step} of {status.total}" if status.total else "",
        rate_text(workbench, arm), memory(workbench, arm), heartbeat(arm), queue, problem,
    ]  # fmt: skip
    text = " · ".join(part for part in told if part)
    return (
        f'<div class="rw-strip" role="status">{chip(entry.label)}<strong>{escape(entry.title)}</strong>'
        f"<span>{escape(text)}</span>{progress(bar(arm), f'{entry.title}: {text}')}</div>"
    )


def place(entry: Entry, arm: Arm) -> str:
    """Which arm of how many; empty for a single run."""
    if len(entry.arms) == 1:
        return ""
    return f"arm {arm.label}, {[other.label for other in entry.arms].index(arm.label) + 1} of {len(entry.arms)}"


def activity(entry: Entry, arm: Arm) -> str:
    """What the arm does; how far a stop has come where one is under way."""
    if entry.label == "stopping" and not arm.state.status.final:
        folder = arm.folder if arm.state.live else RunFolder(arm.folder.path.parent)
        stopping = stop_progress(folder)
        return "" if stopping is None else stopping.words
    if arm.state.final:
        return ""
    soon = arm.state.label == "running" and is_requested(arm.folder, "pause")
    return f"{doing(arm)}, pauses after its next step" if soon else doing(arm)


def memory(workbench: Workbench, arm: Arm) -> str:
    """What its latest step took at most; empty before there is one, and when nothing runs."""
    steps = workbench.journals.steps(arm.folder.metrics_path) if arm.state.live else []
    taken = steps[-1].memory_mb if steps else None
    if taken is None:
        return ""
    return f"memory {taken / 1024:.1f} GiB" if taken >= 1024 else f"memory {taken:.0f} MiB"


def heartbeat(arm: Arm) -> str:
    """When its process was heard last."""
    age = arm.state.heartbeat_age
    if age is None or not arm.state.live:
        return ""
    return "heartbeat just now" if age < FRESH else f"last heartbeat {duration(age)} ago"


def stop(workbench: Workbench, selection: object) -> str:
    """Asks a training to stop, and sees to its end whether or not a page stays open."""
    said = workbench.stop(selection)
    entry = workbench.entry(selection)
    if entry is not None and not entry.final:
        _follow(workbench, entry)
    return said


def _follow(workbench: Workbench, entry: Entry) -> None:
    if not entry.selection.is_experiment:
        folder = entry.arms[0].folder
        follow_stop(lambda: not advance_stop(folder).live)
        return
    experiment = find_experiment(workbench.workspace, entry.selection.name)
    follow_stop(lambda: advance_experiment_stop(experiment).label not in AT_WORK)


def kill(workbench: Workbench, selection: object) -> str:
    """Ends a training at once, without saving.

    Raises:
        RunError: If there is no such training, or its folder cannot be written.
    """
    entry = _entry(workbench, selection, "kill")
    if entry.label not in AT_WORK:
        return f"{entry.title} is not running."
    if entry.selection.is_experiment:
        kill_experiment(find_experiment(workbench.workspace, entry.selection.name))
    else:
        kill_run(entry.arms[0].folder)
    _follow(workbench, entry)
    return f"{entry.title} was ended at once. Its last checkpoint is kept: [Resume] on the Monitor tab goes on from it."


def pause(workbench: Workbench, selection: object) -> str:
    """Asks a training to save and wait.

    Raises:
        RunError: If it is not in progress, or its folder cannot be written; the same holds for the next three.
    """
    entry, arm = _at_work(workbench, selection, "pause")
    pause_run(arm.folder)
    return f"{entry.title} pauses after its next step: it saves, then waits for [Continue]."


def go_on(workbench: Workbench, selection: object) -> str:
    """Lets a paused training go on."""
    entry, arm = _at_work(workbench, selection, "continue")
    continue_run(arm.folder)
    return f"{entry.title} goes on."


def save_now(workbench: Workbench, selection: object) -> str:
    """Asks for a checkpoint."""
    entry, arm = _at_work(workbench, selection, "save")
    request_save(arm.folder)
    return f"{entry.title} saves a checkpoint after its present step."


def sample_now(workbench: Workbench, selection: object) -> str:
    """Asks for the validation pictures."""
    entry, arm = _at_work(workbench, selection, "sample")
    request_sample(arm.folder)
    return f"{entry.title} draws its validation pictures after its present step."


def _entry(workbench: Workbench, selection: object, what: str) -> Entry:
    entry = workbench.entry(selection)
    if entry is None:
        raise RunError(f"the run to {what} must be one of the workspace, got none of that name; reload the page")
    return entry


def _at_work(workbench: Workbench, selection: object, what: str) -> tuple[Entry, Arm]:
    """The training and its arm that is trained at the moment."""
    entry = _entry(workbench, selection, what)
    if entry.active is None:
        raise RunError(f"the run to {what} must be in progress, got {entry.title}, which is {entry.label}")
    return entry, entry.active
