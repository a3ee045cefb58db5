"""A page starts: ends that nobody saw are written down once, stops that were under way are carried on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.paths import PROJECT_ROOT
from core.runs.experiment import create_experiment
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.liveness import Identity, read_identity, write_exit
from core.runs.process import start_run, stop_progress
from core.runs.reconcile import KIND, reconcile
from core.runs.records import Event, read_records
from core.runs.status import Status, derive_state, read_status, write_status
from core.runs.workspace import Workspace

Stub = Callable[[RunFolder, str], list[str]]
Until = Callable[[Callable[[], object]], None]
GONE = 2**22 + 1  # beyond the largest pid that Linux gives

STOP = """
import sys
from pathlib import Path
from core.runs.folder import RunFolder
from core.runs.process import stop_run
stop_run(RunFolder(Path(sys.argv[1])), grace=0.5)
"""


def lost(run: RunFolder) -> list[str]:
    return [event.text for event in read_records(Event, run.events_path) if event.kind == KIND]


def dies(run: RunFolder, heartbeat: float = 5.0) -> None:
    write_status(run, Status("training", 7, 10, pid=GONE, create_time=1.0, heartbeat=heartbeat))


def test_a_loss_is_written_down_once_a_life_and_stays_a_loss(workspace: Workspace, run: RunFolder) -> None:
    run.log_path.write_text("RuntimeError: out of paint\n")
    dies(run)
    before = run.status_path.read_bytes()
    assert reconcile(workspace) == ["demo: lost, last seen: training, step 7 of 10"]
    assert reconcile(workspace) == []
    (text,) = lost(run)
    assert "left no word" in text
    assert "out of paint" in text
    assert text.endswith("(last seen: training, step 7 of 10)")
    assert run.status_path.read_bytes() == before
    assert derive_state(run).label == "lost"
    dies(run, heartbeat=6.0)  # it was resumed, and lost again
    assert len(reconcile(workspace)) == 1
    assert len(lost(run)) == 2


def test_what_runs_ended_or_was_never_started_gets_no_event(workspace: Workspace, config) -> None:
    for name, status in (("a", None), ("b", Status("done")), ("c", Status("failed")), ("d", Status("queued"))):
        folder = RunFolder.create(workspace.runs_dir, name, config)
        if status is not None:
            write_status(folder, status)
    StatusWriter(RunFolder.create(workspace.runs_dir, "alive", config), phase="training")
    assert reconcile(workspace) == []
    assert list(workspace.root.rglob("events.jsonl")) == []


def test_arms_and_drivers_are_looked_at_too(workspace: Workspace, config) -> None:
    experiment = create_experiment(workspace, "ab", config)
    dies(experiment.folder)
    dies(experiment.arms[0].run)
    assert {line.partition(":")[0] for line in reconcile(workspace)} == {"ab", experiment.arms[0].run.name}


def test_an_exit_record_without_a_last_word_is_turned_into_one(workspace: Workspace, run: RunFolder) -> None:
    dies(run)
    write_exit(run.exit_path, GONE, -9)
    assert reconcile(workspace) == []
    assert read_status(run).phase == "failed"
    assert "SIGKILL" in str(read_status(run).error)


def test_an_end_after_a_stop_request_is_written_down_as_stopped(workspace: Workspace, run: RunFolder) -> None:
    dies(run)
    run.stop_path.touch()
    assert reconcile(workspace) == []
    assert "stopped before it could save" in lost(run)[0]
    assert derive_state(run).label == "stopped"


def test_a_workspace_that_takes_no_record_does_not_keep_the_page_from_starting(
    workspace: Workspace, run: RunFolder, config
) -> None:
    dies(run)
    run.events_path.mkdir()
    other = RunFolder.create(workspace.runs_dir, "other", config)
    dies(other)
    assert reconcile(workspace) == ["other: lost, last seen: training, step 7 of 10"]
    assert reconcile(Workspace(workspace.root / "nowhere")) == []


def test_a_stop_that_a_dead_page_had_begun_goes_on(
    workspace: Workspace, run: RunFolder, stub: Stub, until: Until
) -> None:
    start_run(run, command=stub(run, "stubborn"))
    until(lambda: read_status(run).message.isdigit())
    worker = Identity.of(int(read_status(run).message))
    page = subprocess.run([sys.executable, "-c", STOP, str(run.path)], cwd=PROJECT_ROOT, timeout=60, check=True)
    assert page.returncode == 0
    assert reconcile(workspace) == []
    until(lambda: derive_state(run).final, 60.0)  # type: ignore[call-arg]
    assert derive_state(run).label == "stopped"
    progress = stop_progress(run)
    assert progress is not None
    assert progress.sent == ("SIGINT", "SIGTERM", "SIGKILL")
    assert not worker.alive()
    identity = read_identity(run.process_path)
    assert identity is not None
    assert not identity.alive()


@pytest.mark.parametrize("data", [b"", b"\x00", b'{"phase": "training", "pid": [], "heartbeat": "x"}'])
def test_garbage_in_a_status_is_passed_over(workspace: Workspace, run: RunFolder, data: bytes) -> None:
    run.status_path.write_bytes(data)
    assert len(reconcile(workspace)) == 1
    assert reconcile(workspace) == []


def test_nothing_of_a_workspace_of_others_is_touched(workspace: Workspace, run: RunFolder, tmp_path: Path) -> None:
    dies(run)
    elsewhere = tmp_path / "elsewhere"
    run.path.rename(elsewhere)
    (workspace.runs_dir / "demo").symlink_to(elsewhere)
    assert reconcile(workspace) == []
    assert not (elsewhere / "events.jsonl").exists()
