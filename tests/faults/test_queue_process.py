"""The queue as people use it: real commands, the real trainer on a tiny base, and a machine that restarts."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_trainings import Place, environment, typed

from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.queue import hold, items
from core.runs.queue_runner import runner_lives, runner_log
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace
from tests.support.patience import until
from tests.support.served import Served


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A tiny base and an empty workspace; what was queued there and is alive is ended, the runner with it."""
    made = Place(tmp_path)
    yield made
    for path in [made.workspace / "runs" / item.selection.partition("/")[2] for item in items(made.workspace)]:
        identity = read_identity(RunFolder(path).process_path)
        if identity is not None and identity.alive():
            os.killpg(identity.pid, signal.SIGKILL)
    until(lambda: not runner_lives(made.workspace))


def queue(place: Place, *words: str) -> list[str]:
    """Types a command on the workspace that must succeed; what it said."""
    done = typed(*words, "--workspace", str(place.workspace))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def runner_of(run: RunFolder) -> int:
    """The process that started a run's."""
    return json.loads(run.process_path.read_text())["launcher"]["pid"]


def test_a_queued_training_is_trained_in_the_background_as_it_was_frozen(place: Place) -> None:
    hold(Workspace(place.workspace))
    source = place.file("cat", max_train_steps=3)
    assert queue(place, "train", str(source), "--queue")[-1].startswith("queued: runs/cat, place 1")
    run = RunFolder(place.workspace / "runs" / "cat")
    frozen = run.config_path.read_bytes()
    source.write_text(json.dumps(place.values(max_train_steps=5)))
    queue(place, "queue", "release")
    until(lambda: derive_state(run).final)
    assert derive_state(run).label == "done", runner_log(place.workspace).read_text()
    assert run.config_path.read_bytes() == frozen
    assert [row["step"] for row in journal.read_all(run.metrics_path)] == [1, 2, 3]
    assert (run.adapter_dir / "pytorch_lora_weights.safetensors").is_file()
    until(lambda: items(place.workspace) == ())  # written after the lock is given back
    assert not runner_lives(place.workspace)


@pytest.mark.faults
def test_after_a_restart_of_the_machine_the_start_of_the_page_goes_on_with_what_was_lost(place: Place) -> None:
    hold(Workspace(place.workspace))
    long = place.file("long", max_train_steps=100_000, checkpointing_steps=5)
    for source in (long, place.file("short", max_train_steps=2)):
        queue(place, "train", str(source), "--queue")
    first, second = (RunFolder(place.workspace / "runs" / name) for name in ("long", "short"))
    queue(place, "queue", "release")
    until(lambda: any(first.checkpoints_dir.glob("step-*")))
    process = read_identity(first.process_path)
    assert process is not None
    os.kill(runner_of(first), signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    until(lambda: derive_state(first).label == "lost")
    assert derive_state(second).label == "queued"

    lost_at = read_status(first).step
    page = Served(place.workspace, environment=environment())
    try:
        page.wait()
        until(lambda: read_identity(first.process_path) not in (None, process) and read_status(first).step > lost_at)
    finally:
        page.process.kill()
        page.process.wait()
    steps = [row["step"] for row in journal.read_all(first.metrics_path)]
    assert steps == list(range(1, len(steps) + 1))  # no step twice, none missing
    assert any(row["kind"] == "resume" for row in journal.read_all(first.events_path))
    queue(place, "stop", "long")  # the page is dead, and neither the training nor the queue minds
    until(lambda: derive_state(second).label == "done")
    assert derive_state(first).label == "stopped"
    until(lambda: not runner_lives(place.workspace))
