"""The queue's runner over stub trainers: order, hold, devices, and what goes on after what."""

import os
import sys

import pytest
from queues import (
    STUB_RUNNER,
    Queued,
    Runner,
    Until,
    is_training,
    label,
    let_finish,
    log,
    order,
    queued,
    runner,
    told,
)  # fmt: skip

from core.config.run import RunConfig
from core.errors import RunError
from core.runs import queue_runner
from core.runs.file_lock import is_locked
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.lock import any_in_progress, training_in_progress
from core.runs.process import start_run, stop_run
from core.runs.queue import hold, items, move, queue_path, release
from core.runs.queue_runner import ensure_runner, runner_lives
from core.runs.workspace import Workspace
from tests.support.driven import Stub
from tests.support.patience import PATIENCE

__all__ = ["queued", "runner"]


def test_the_order_can_change_while_a_training_runs(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second, third = queued("a", "b", "c")
    process = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    move(workspace, "runs/c", 1)
    let_finish(first)
    assert process.wait(timeout=PATIENCE) == 0
    assert order(workspace) == ["a", "c", "b"]
    assert [label(run) for run in (first, second, third)] == ["done"] * 3
    assert items(workspace.root) == ()


def test_the_next_one_starts_after_one_that_fails_cannot_start_vanished_or_is_stopped(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    crashes, blocked, gone, stops, last = queued("crashes", "blocked", "gone", "stops", "last")
    blocked.log_path.mkdir()
    gone.path.rename(gone.path.with_name(".moved"))
    process = runner("crashes=crash", "stops=gated")
    until(lambda: is_training(stops), PATIENCE)
    stop_run(stops)
    assert process.wait(timeout=PATIENCE) == 0
    assert [label(run) for run in (crashes, blocked, stops, last)] == ["failed", "failed", "stopped", "done"]
    assert told(crashes) == ["failed; the queue goes on"]
    assert "could not be started, and the queue went on" in told(blocked)[0]
    assert told(stops) == ["stopped; the queue goes on"]
    assert "runs/gone: its folder is gone" in log(workspace)
    assert items(workspace.root) == ()


def test_of_two_runners_at_once_exactly_one_goes_on(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    pair = [runner("a=gated"), runner("a=gated")]
    until(lambda: any(process.poll() is not None for process in pair), PATIENCE)
    (refused,) = [process for process in pair if process.poll() is not None]
    (serving,) = [process for process in pair if process is not refused]
    assert refused.returncode == 1
    assert 'one runner must serve a device, got a second one for "default"' in log(workspace)
    until(lambda: is_training(first), PATIENCE)
    let_finish(first)
    assert serving.wait(timeout=PATIENCE) == 0
    assert order(workspace) == ["a", "b"]
    assert label(second) == "done"


def test_a_held_queue_finishes_what_is_under_way_and_starts_nothing_until_it_is_released(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    process = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    hold(workspace)
    let_finish(first)
    assert process.wait(timeout=PATIENCE) == 0
    assert [label(first), label(second)] == ["done", "queued"]
    assert [item.selection for item in items(workspace.root)] == ["runs/b"]
    assert not ensure_runner(workspace)
    release(workspace)
    assert runner().wait(timeout=PATIENCE) == 0
    assert label(second) == "done"


def test_the_queue_waits_for_somebody_s_own_training_and_takes_over_what_they_started_of_it(
    workspace: Workspace, queued: Queued, runner: Runner, stub: Stub, config: RunConfig, until: Until
) -> None:
    own = RunFolder.create(workspace.runs_dir, "own", config)
    start_run(own, command=stub(own, "gated"))
    (first,) = queued("a")
    process = runner()
    until(lambda: 'run "own" is in progress; the queue goes on after it' in log(workspace), PATIENCE)
    assert label(first) == "queued"
    let_finish(own)
    assert process.wait(timeout=PATIENCE) == 0
    assert [label(own), label(first)] == ["done", "done"]

    (second,) = queued("b")
    start_run(second, command=stub(second, "gated"))
    process = runner()
    until(lambda: items(workspace.root)[0].device is not None, PATIENCE)
    stop_run(second)
    assert process.wait(timeout=PATIENCE) == 0
    assert (label(second), order(workspace)) == ("stopped", ["a"])


def test_two_devices_train_side_by_side_and_one_device_never_twice(
    workspace: Workspace, queued: Queued, runner: Runner, stub: Stub, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = queued("a", "b", "c")
    pair = [runner("a=gated", "b=gated", device=device) for device in ("0", "1")]
    until(lambda: is_training(first) and is_training(second), PATIENCE)
    assert {item.device for item in items(workspace.root)} == {"default", "1", None}
    assert label(third) == "queued"
    third_runner = runner(device="1,2")
    assert third_runner.wait(timeout=PATIENCE) == 1
    for device in ("0", "1", "2"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
        for run, busy in ((first, True), (third, device != "2")):
            if busy:
                with pytest.raises(RunError, match="in progress"):
                    start_run(run, command=stub(run, "finish"))
    assert training_in_progress(workspace.root) is None
    assert any_in_progress(workspace.root)
    let_finish(first, second)
    assert [process.wait(timeout=PATIENCE) for process in pair] == [0, 0]
    assert [label(run) for run in (first, second, third)] == ["done"] * 3
    assert sorted(order(workspace)) == ["a", "b", "c"]


def test_a_runner_is_started_in_the_background_where_there_is_work_and_none_lives(
    workspace: Workspace, queued: Queued, until: Until
) -> None:
    assert not ensure_runner(workspace)
    (first,) = queued("a")
    command = [sys.executable, str(STUB_RUNNER), str(workspace.root), "a=gated"]
    assert ensure_runner(workspace, command)
    until(lambda: is_training(first), PATIENCE)
    assert runner_lives(workspace.root)
    assert not ensure_runner(workspace, command)
    launched = read_identity(first.process_path)
    assert launched is not None
    assert os.getsid(launched.pid) == launched.pid  # a session of its own: nothing that ends the runner ends it
    let_finish(first)
    until(lambda: not runner_lives(workspace.root), PATIENCE)
    assert label(first) == "done"


def test_a_runner_resigns_before_anybody_else_can_look_at_the_queue(workspace: Workspace, queued: Queued) -> None:
    """Who adds to the queue at that moment would else find a runner that never looks again."""
    queue_lock = queue_path(workspace.root).with_name("queue.lock")
    seen: list[bool] = []
    runner = queue_runner.Runner(workspace, print, None, lambda: seen.append(is_locked(queue_lock)))
    assert not runner.turn()
    queued("a")
    hold(workspace)
    assert not runner.turn()
    assert seen == [True, True]
    assert not is_locked(queue_lock)
