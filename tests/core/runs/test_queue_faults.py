"""What the queue survives: its runner, its trainings and its file are killed, lost and damaged."""

import pytest
from queues import (
    Queued,
    Runner,
    Until,
    die,
    is_training,
    kill,
    label,
    let_finish,
    log,
    lose,
    order,
    queued,
    runner,
    told,
)  # fmt: skip

from core.config.run import RunConfig
from core.runs import journal
from core.runs.experiment import create_experiment, experiment_state
from core.runs.liveness import read_identity
from core.runs.queue import dequeue, enqueue, hold, items, queue_path, read_queue
from core.runs.queue_runner import MOST_ATTEMPTS, runner_lives
from core.runs.status import read_status
from core.runs.workspace import Workspace
from tests.support.patience import PATIENCE

__all__ = ["queued", "runner"]


def test_a_runner_that_was_killed_ends_no_training_and_the_next_runner_waits_for_it(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    killed = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    die(killed)
    before, step = read_identity(first.process_path), read_status(first).step
    until(lambda: read_status(first).step > step, PATIENCE)
    process = runner("a=gated")
    until(lambda: runner_lives(workspace.root), PATIENCE)
    step = read_status(first).step
    until(lambda: read_status(first).step > step + 10, PATIENCE)
    assert read_identity(first.process_path) == before
    assert label(second) == "queued"
    let_finish(first)
    assert process.wait(timeout=PATIENCE) == 0
    assert order(workspace) == ["a", "b"]
    assert [label(first), label(second)] == ["done", "done"]


def test_what_was_lost_with_its_runner_goes_on_from_its_last_checkpoint(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    killed = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    lose(killed, first)
    lost_at = len(journal.read_all(first.metrics_path))
    let_finish(second)
    process = runner("a=gated")
    until(lambda: len(journal.read_all(first.metrics_path)) > lost_at + 1, PATIENCE)
    let_finish(first)
    assert process.wait(timeout=PATIENCE) == 0
    steps = [row["step"] for row in journal.read_all(first.metrics_path)]
    assert steps.count(1) == 1  # the second process did not begin anew
    assert [label(first), label(second)] == ["done", "done"]
    assert order(workspace) == ["a", "a", "b"]


@pytest.mark.faults
def test_what_gets_no_further_is_left_after_three_attempts_and_the_next_one_starts(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        killed = runner("a=unsaved")
        until(lambda attempt=attempt: order(workspace) == ["a"] * attempt and is_training(first), PATIENCE)
        lose(killed, first)
    assert runner("a=unsaved").wait(timeout=PATIENCE) == 0
    assert [label(first), label(second)] == ["lost", "done"]
    assert "lost 3 times without getting any further" in told(first)[0]
    assert order(workspace) == ["a", "a", "a", "b"]


@pytest.mark.faults
def test_what_a_device_that_is_gone_left_is_gone_on_with_on_another(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    killed = runner("a=gated", device="1")
    until(lambda: is_training(first), PATIENCE)
    lose(killed, first)
    let_finish(first)
    assert runner("a=gated").wait(timeout=PATIENCE) == 0
    assert [label(first), label(second)] == ["done", "done"]
    assert order(workspace) == ["a", "a", "b"]


@pytest.mark.faults
def test_a_queue_that_is_damaged_while_a_training_runs_ends_no_training(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    process = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    queue_path(workspace.root).write_bytes(b"{ torn")
    assert process.wait(timeout=PATIENCE) == 0
    assert "must hold the order of the queue" in log(workspace)
    assert is_training(first)
    assert label(second) == "queued"
    enqueue(workspace, "runs/b")
    process = runner()
    let_finish(first)
    assert process.wait(timeout=PATIENCE) == 0
    assert [label(first), label(second)] == ["done", "done"]


@pytest.mark.faults
def test_a_queue_that_cannot_be_written_waits_and_goes_on_when_it_can(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    first, second = queued("a", "b")
    process = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    path = queue_path(workspace.root)
    kept = path.with_name("kept")
    path.rename(kept)
    path.mkdir()
    (path / "in the way").touch()
    let_finish(first)
    until(lambda: label(first) == "done", PATIENCE)
    (path / "in the way").unlink()
    path.rmdir()
    kept.rename(path)
    if process.wait(timeout=PATIENCE) == 0 and items(workspace.root):
        assert runner().wait(timeout=PATIENCE) == 0
    assert [label(first), label(second)] == ["done", "done"]


@pytest.mark.faults
def test_a_lost_training_of_a_held_queue_waits_for_the_release(
    workspace: Workspace, queued: Queued, runner: Runner, until: Until
) -> None:
    (first,) = queued("a")
    killed = runner("a=gated")
    until(lambda: is_training(first), PATIENCE)
    lose(killed, first)
    hold(workspace)
    assert runner("a=gated").wait(timeout=PATIENCE) == 0
    assert label(first) == "lost"
    assert len(items(workspace.root)) == 1
    dequeue(workspace, "runs/a")
    assert not read_queue(workspace.root).items


@pytest.mark.faults
def test_an_experiment_is_trained_arm_by_arm_and_goes_on_after_both_processes_died(
    workspace: Workspace, config: RunConfig, runner: Runner, until: Until
) -> None:
    experiment = create_experiment(workspace, "ab", config)
    reference, rollout = (arm.run for arm in experiment.arms)
    enqueue(workspace, "experiments/ab")
    killed = runner("rollout=gated")
    until(lambda: is_training(rollout), PATIENCE)
    die(killed)
    kill(experiment.folder)
    kill(rollout)
    until(lambda: experiment_state(experiment).label == "lost", PATIENCE)
    let_finish(rollout)
    assert runner("rollout=gated").wait(timeout=PATIENCE) == 0
    assert experiment_state(experiment).label == "done"
    steps = [row["step"] for row in journal.read_all(reference.metrics_path)]
    assert steps == [1, 2, 3]  # the arm that was done is not trained again
