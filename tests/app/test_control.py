"""The status strip and its buttons, over a training that runs in another process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import gradio as gr
import psutil
import pytest

from app import control
from app.html import chip
from app.tabs import monitor
from app.workbench import Workbench
from core.config.paths import PROJECT_ROOT
from core.errors import RunError
from core.runs.experiment import create_experiment
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, read_identity
from core.runs.process import kill_run, start_run, wait_for_end
from core.runs.queue import enqueue
from core.runs.records import record_event
from core.runs.status import Status, derive_state, read_status, write_status
from tests.support.fabricated import finish, look_at, write_steps

STUB = PROJECT_ROOT / "tests" / "core" / "runs" / "stub_trainer.py"
PATIENCE = 60.0
ALL = ("pause", "continue", "stop", "kill")


@pytest.fixture
def train(workspace, demo) -> Iterator[Callable[[str], RunFolder]]:
    """``train("stubborn")``: a run whose trainer, a process of its own, behaves so."""
    made = []

    def go(behaviour: str = "train") -> RunFolder:
        run = RunFolder.create(workspace.runs_dir, "Cat", demo)
        made.append(run)
        start_run(run, command=[sys.executable, str(STUB), str(run.path), behaviour])
        return run

    yield go
    for run in made:
        kill_run(run)
        wait_for_end(run, PATIENCE)


def shown(parts) -> tuple[str, tuple[str, ...]]:
    """The strip, and which of its buttons are there."""
    outputs, _ = look_at(parts, "home")
    return outputs["strip"], tuple(name for name in ALL if outputs[name].visible)


def monitored(parts, picked: str) -> dict:
    return look_at(parts, "monitor", selection=picked)[0]


def test_the_strip_tells_what_runs_how_far_it_is_and_what_waits(parts, workspace, demo, until, train):
    run = train()
    waiting = RunFolder.create(workspace.runs_dir, "Dog", demo)
    enqueue(workspace, f"runs/{waiting.name}")
    until(lambda: read_status(run).step > 3)
    strip, buttons = shown(parts)
    step = read_status(run).step
    assert "<strong>Cat</strong>" in strip
    assert "rw-state-running" in strip
    assert any(f"step {count} of 100000" in strip for count in range(1, step + 1))
    for text in ("it/s", "left in this phase", "memory 1.5 GiB", "heartbeat just now", "1 in the queue"):
        assert text in strip
    assert buttons == ("pause", "stop", "kill")


def test_the_strip_of_an_experiment_names_the_arm_and_its_place(parts, workspace, demo):
    experiment = create_experiment(workspace, "AB", demo)
    parent = Identity.of(os.getppid())
    write_status(experiment.folder, Status("training").by(parent).beaten())
    finish(experiment.arms[0].run)
    write_steps(experiment.arms[1].run, 3)
    write_status(experiment.arms[1].run, Status("training", 3, 30).by(parent).beaten())
    entry = parts.workbench.entry("experiments/ab")
    strip = control.strip(parts.workbench, entry)
    assert "arm rollout, 2 of 2" in strip
    assert "step 3 of 30" in strip
    assert control.buttons_of(entry) == ("pause", "stop", "kill")


def test_an_old_heartbeat_is_told_with_its_age(parts, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Cat", demo)
    parent = Identity.of(os.getppid())
    write_status(run, Status("loading", heartbeat=time.time() - 3600).by(parent))
    strip = control.strip(parts.workbench, parts.workbench.entry("runs/cat"))
    assert "last heartbeat 1 h 0 min ago" in strip


def test_nothing_runs_and_something_waits(parts, workspace, demo):
    assert shown(parts) == ('<div class="rw-strip" role="status">' + _idle("Nothing is training."), ())
    run = RunFolder.create(workspace.runs_dir, "Dog", demo)
    enqueue(workspace, f"runs/{run.name}")
    assert "Nothing is training, 1 in the queue." in shown(parts)[0]


def _idle(text: str) -> str:
    return f"{chip('idle', 'idle')}<span>{text}</span></div>"


def test_pause_and_continue_take_turns_and_what_is_asked_is_shown(parts, workbench, train, until):
    run = train()
    until(lambda: read_status(run).step > 0)
    assert "pauses after its next step" in control.pause(workbench, "runs/cat")
    until(lambda: "rw-state-paused" in shown(parts)[0])
    strip, buttons = shown(parts)
    assert buttons == ("continue", "stop", "kill")
    assert f"paused after step {read_status(run).step}" in strip
    assert "it/s" not in strip
    step = read_status(run).step
    assert control.go_on(workbench, "runs/cat") == "Cat goes on."
    until(lambda: read_status(run).step > step)
    until(lambda: shown(parts)[1] == ("pause", "stop", "kill"))
    with pytest.raises(RunError, match="run to continue must be paused"):
        control.go_on(workbench, "runs/cat")


def test_save_and_sample_now_leave_a_line_on_the_monitor(parts, workbench, train, until):
    run = train()
    until(lambda: read_status(run).step > 0)
    outputs = monitored(parts, "runs/cat")
    assert [outputs[f"monitor.{name}"].visible for name in monitor.ACTS] == [True, True, False]
    said = monitor.act("Save now", lambda: control.save_now(workbench, "runs/cat"))
    assert "OK: Save now" in said
    assert "saves a checkpoint after its present step" in said
    until(lambda: "save at step" in monitored(parts, "runs/cat")["monitor.events"])
    control.sample_now(workbench, "runs/cat")
    until(lambda: "sample at step" in monitored(parts, "runs/cat")["monitor.events"])
    kill_run(run)
    wait_for_end(run, PATIENCE)
    outputs = monitored(parts, "runs/cat")
    assert [outputs[f"monitor.{name}"].visible for name in monitor.ACTS] == [False, False, True]
    said = monitor.act("Save now", lambda: control.save_now(workbench, "runs/cat"))
    assert "Problem: Save now" in said
    assert "must be in progress, got Cat, which is stopped" in said


def test_a_stop_shows_a_timer_goes_on_without_a_look_and_is_over_when_the_process_is_gone(
    parts, workbench, train, until, monkeypatch
):
    run = train("stubborn")
    until(lambda: read_status(run).message.isdigit())
    monkeypatch.setattr("core.runs.escalation.GRACE_SECONDS", 2.0)
    run.stop_path.write_text("\n")  # the usual grace, which this test shortens, from when it is seen
    control.stop(workbench, "runs/cat")
    strip, buttons = shown(parts)
    assert "rw-state-stopping" in strip
    assert "asked " in strip
    assert " s ago" in strip
    assert buttons == ("kill",)
    identity = read_identity(run.process_path)
    assert identity is not None
    until(lambda: not identity.alive())  # nobody looks: a thread of the page sends the signals
    until(lambda: "Nothing is training" in shown(parts)[0])
    assert derive_state(run).label == "stopped"
    assert "SIGKILL was sent" in monitored(parts, "runs/cat")["monitor.events"]


def test_a_kill_ends_at_once_and_leaves_no_zombie(parts, workbench, train, until):
    run = train("stubborn")
    until(lambda: read_status(run).message.isdigit())
    identity = read_identity(run.process_path)
    assert identity is not None
    assert "was ended at once" in control.kill(workbench, "runs/cat")
    until(lambda: derive_state(run).final)
    assert derive_state(run).label == "stopped"
    until(lambda: not psutil.pid_exists(identity.pid))  # a zombie would still have it
    assert control.kill(workbench, "runs/cat") == "Cat is not running."


@pytest.mark.parametrize("work", [control.pause, control.go_on, control.save_now, control.sample_now, control.kill])
@pytest.mark.parametrize("name", ["runs/gone", "../x", "", None])
def test_an_unknown_name_is_told(workbench, work, name):
    with pytest.raises(RunError, match="reload the page"):
        work(workbench, name)


def test_a_refusal_reaches_the_browser_as_an_escaped_sentence(monkeypatch):
    def refuse() -> str:
        raise RunError("run must be <b>good</b>")

    with pytest.raises(gr.Error, match="run must be &lt;b&gt;good&lt;/b&gt;"):
        control.say(refuse)
    heard = []
    monkeypatch.setattr(gr, "Info", lambda text, duration: heard.append(text))
    control.say(lambda: "<b> was asked")
    assert heard == ["&lt;b&gt; was asked"]


def test_every_button_that_cannot_be_taken_back_asks_first(page):
    asked = [str(function.js) for function in page.fns.values() if function.js and "confirm(" in str(function.js)]
    for question in control.QUESTIONS.values():
        assert any(question in js for js in asked)


def test_the_words_of_events_are_escaped_and_bounded(parts, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Cat", demo)
    finish(run, "stopped")
    for number in range(9):
        record_event(run.events_path, "save", f"<img src=x> {number}")
    record_event(run.events_path, "lost", "gone\nwith a log\nof lines")
    html = monitored(parts, "runs/cat")["monitor.events"]
    assert "<img" not in html
    assert html.count("<li>") == 3
    assert "gone" in html
    assert "with a log" not in html


PAGE = """
import sys
from pathlib import Path
from app.workbench import Workbench
from core.runs.process import start_run
from core.runs.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
print(start_run(workspace.find("cat"), command=sys.argv[2:]), flush=True)
sys.stdin.read()
"""


def test_a_page_that_ends_leaves_its_training_running(workspace, demo, until):
    run = RunFolder.create(workspace.runs_dir, "Cat", demo)
    words = [sys.executable, "-c", PAGE, str(workspace.root), sys.executable, str(STUB), str(run.path), "train"]
    page = subprocess.Popen(words, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: read_status(run).step > 0)
        assert page.stdin is not None
        page.stdin.close()
        page.wait(PATIENCE)
        step = read_status(run).step
        until(lambda: read_status(run).step > step)
        assert Workbench(workspace).active() is not None
    finally:
        page.kill()
        kill_run(run)
    assert wait_for_end(run, PATIENCE).label == "stopped"
