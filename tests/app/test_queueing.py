"""The queue on the Launch tab, without a browser. It is held wherever a training would start."""

import os
import subprocess
import time

import pytest

from app import queueing
from app.design import Design
from app.form import values_of
from app.tabs import launch
from core.config.presets import load_preset
from core.rollout.cost import Calibration
from core.runs.experiment_folder import Experiment
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.queue import DAMAGED, Item, changing, enqueue, hold, items, queue_path, read_queue
from core.runs.queue_runner import runner_lives, runner_log
from core.runs.status import Status, derive_state, write_status
from tests.support.fabricated import changed, look_at

SINGLE = Design("single")
MEASURED = Measurement(
    Facts("v_prediction", 999, tuple(50.0 * number for number in range(1, 20)), 13.7, 3.43, 661.7),
    Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005),
    "cpu",
)


@pytest.fixture
def held(workspace):
    hold(workspace)
    return workspace


@pytest.fixture
def queued(held, demo):
    """Three runs that wait: a, b, c."""
    for name in ("a", "b", "c"):
        enqueue(held, f"runs/{RunFolder.create(held.runs_dir, name, demo).name}")
    return held


def order(workspace):
    return [item.selection.removeprefix("runs/") for item in items(workspace.root)]


def controls(parts, picked=""):
    """The choices and what is chosen."""
    shown = look_at(parts, "launch", **{"queue.picked": picked})[0]["queue.pick"]
    return shown.choices, shown.value


def test_adding_makes_the_folders_and_says_the_place(parts, held, demo):
    found, marks = queueing.add_new(parts, Design("ab"), "My cat", "demo", values_of(demo))
    assert "My cat waits at place 1" in found
    assert "frozen" in found
    assert "press Release" in found
    assert marks == ""
    assert order(held) == ["experiments/my-cat"]
    assert len(Experiment(held.experiments_dir / "my-cat").arms) == 2
    found, _ = queueing.add_new(parts, SINGLE, "", "demo", values_of(demo))
    assert "place 2" in found


def test_later_changes_of_form_and_preset_change_nothing_of_what_is_queued(parts, held, demo):
    name = parts.workbench.keep_preset("Mine", changed(demo, rank=3))
    mine = load_preset(name, held.root).config
    queueing.add_new(parts, SINGLE, "First", name, values_of(mine))
    frozen = (held.runs_dir / "first" / "config.json").read_bytes()
    path = held.presets_dir / f"{name}.toml"
    path.write_text(path.read_text().replace("rank = 3", "rank = 7"))
    assert load_preset(name, held.root).config.lora.rank == 7
    queueing.add_new(parts, SINGLE, "Second", name, values_of(load_preset(name, held.root).config))
    path.unlink()
    assert (held.runs_dir / "first" / "config.json").read_bytes() == frozen
    assert [held.find(run).config().lora.rank for run in ("first", "second")] == [3, 7]


def test_settings_with_problems_are_not_queued_and_marked(parts, held, demo):
    raw = values_of(demo)
    raw[raw.index(demo.lora.rank)] = "many"
    found, marks = queueing.add_new(parts, SINGLE, "x", "demo", raw)
    assert "Problem" in found
    assert marks != ""
    gone = changed(demo, instance_data_dir=str(held.datasets_dir / "gone"))
    assert "Pictures" in queueing.add_new(parts, SINGLE, "x", "demo", values_of(gone))[0]
    assert (order(held), list(held.runs_dir.iterdir())) == ([], [])


def test_beside_another_training_start_names_the_queue_and_the_queue_takes_it(parts, held, demo):
    record_launch(held.root, 'run "busy"', held.runs_dir / "busy", Identity.of(os.getppid()))
    *_, found, _, _ = launch.start(parts, SINGLE, "x", "demo", values_of(demo))
    assert "run &quot;busy&quot; is in progress" in found
    assert "[Add to queue]" in found
    assert list(held.runs_dir.iterdir()) == []
    assert "place 1" in queueing.add_new(parts, SINGLE, "x", "demo", values_of(demo))[0]
    assert order(held) == ["x"]


def test_the_list_tells_place_title_kind_state_and_forecast(parts, held, demo):
    run = RunFolder.create(held.runs_dir, "<b>Cat</b>", demo)
    enqueue(held, f"runs/{run.name}")
    queueing.add_new(parts, Design("ab"), "Both", "demo", values_of(demo))
    outputs, seen = look_at(parts, "launch")
    html = outputs["queue.list"]
    assert "The queue is held" in html
    assert "&lt;b&gt;Cat" in html
    assert "<b>Cat" not in html
    assert "single run" in html
    assert "experiment, 2 trainings" in html
    assert html.count("known after a measurement") == 2
    assert look_at(parts, "launch", seen) == ({}, seen)
    keep_measurement(held.root, demo, MEASURED)
    outputs, seen = look_at(parts, "launch", seen)
    assert outputs["queue.list"].count("about ") == 2
    with changing(held.root) as change:
        change.queue = change.queue.started_with(Item("runs/b-cat-b", "default", 1))
    own = Identity.of(os.getppid())
    said = Status("training", step=3, total=9, pid=own.pid, create_time=own.create_time, heartbeat=time.time())
    write_status(run, said)
    html = look_at(parts, "launch", seen)[0]["queue.list"]
    assert ">now<" in html
    assert "step 3 of 9" in html


def test_the_buttons_change_the_order_and_say_what_they_did(parts, queued):
    assert [label for label, _ in controls(parts)[0]] == ["1. a", "2. b", "3. c"]
    assert "c is at place 2 now" in queueing.act(parts, "up", "runs/c")
    assert order(queued) == ["a", "c", "b"]
    assert controls(parts, "runs/c") == ([("1. a", "runs/a"), ("2. c", "runs/c"), ("3. b", "runs/b")], "runs/c")
    assert "a is at place 2 now" in queueing.act(parts, "down", "runs/a")
    assert order(queued) == ["c", "a", "b"]
    assert "c is the next to start already" in queueing.act(parts, "up", "runs/c")
    assert "b is the last already" in queueing.act(parts, "down", "runs/b")
    assert "taken out of the queue" in queueing.act(parts, "remove", "runs/a")
    assert order(queued) == ["c", "b"]
    assert ("not in the queue: a", "runs/a") in controls(parts)[0]
    assert "a waits at place 3" in queueing.act(parts, "add", "runs/a")
    assert order(queued) == ["c", "b", "a"]


@pytest.mark.parametrize("picked", ["runs/gone", "../../etc", "", None, 7, ["runs/a"], {"path": "/etc/passwd"}])
@pytest.mark.parametrize("name", ["up", "down", "remove", "add"])
def test_a_choice_that_is_gone_or_made_up_is_answered_with_a_sentence(parts, queued, name, picked):
    before = order(queued)
    said = queueing.act(parts, name, picked)
    assert "Nothing was" in said or "must be" in said
    assert order(queued) == before
    assert controls(parts, picked)[1] is None


def test_holding_and_releasing_are_said_and_seen_and_the_runner_is_started(parts, held):
    assert "no next training starts" in queueing.act(parts, "hold", "")
    outputs, seen = look_at(parts, "launch")
    assert "The queue is held" in outputs["queue.list"]
    assert "goes on" in queueing.act(parts, "release", "")
    assert not read_queue(held.root).held
    assert "The queue is held" not in look_at(parts, "launch", seen)[0]["queue.list"]


def test_a_damaged_queue_is_told_on_the_page_and_its_trainings_can_be_put_in_again(parts, queued):
    queue_path(queued.root).write_text("[1, 2")
    outputs, _ = look_at(parts, "launch")
    assert "no training is lost" in outputs["queue.list"]
    assert {selection for _, selection in outputs["queue.pick"].choices} == {"runs/a", "runs/b", "runs/c"}
    hold(queued)
    assert "place 1" in queueing.act(parts, "add", "runs/b")
    assert order(queued) == ["b"]
    assert queue_path(queued.root).with_name(DAMAGED).exists()


def test_a_stop_says_whether_the_queue_goes_on(parts, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "busy", demo)
    sleeper = subprocess.Popen(["sleep", "60"])
    own = Identity.of(sleeper.pid)
    write_status(run, Status("training", pid=own.pid, create_time=own.create_time, ticks=own.ticks, boot=own.boot))
    assert "queue" not in parts.workbench.stop("runs/busy")
    RunFolder.create(workspace.runs_dir, "next", demo)
    enqueue(workspace, "runs/next")
    assert "Then the queue goes on with its next training" in parts.workbench.stop("runs/busy")
    hold(workspace)
    assert "queue" not in parts.workbench.stop("runs/busy")
    sleeper.kill()
    sleeper.wait()


def test_the_start_of_the_page_lets_the_queue_go_on(workspace, demo):
    """The one training of the queue cannot start, which the runner finds out at once and says."""
    run = RunFolder.create(workspace.runs_dir, "blocked", demo)
    run.log_path.mkdir()
    enqueue(workspace, "runs/blocked")
    queueing.go_on(workspace)
    deadline = time.monotonic() + 60
    while items(workspace.root) or runner_lives(workspace.root):
        assert time.monotonic() < deadline, runner_log(workspace.root).read_text()
        time.sleep(0.05)
    assert "could not be started" in runner_log(workspace.root).read_text()
    assert derive_state(run).label == "failed"


def test_a_queue_that_stands_still_does_not_keep_the_page_from_starting(queued, capsys):
    queue_path(queued.root).write_text("{")
    queueing.go_on(queued)
    assert "must hold the order of the queue" in capsys.readouterr().err
