import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.config.paths import PROJECT_ROOT
from core.config.run import RunConfig
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, read_exit, read_identity
from core.runs.lock import training_in_progress
from core.runs.process import (
    advance_stop,
    kill_run,
    request_stop,
    start_run,
    stop_requested,
    stop_run,
    wait_for_end,
)
from core.runs.records import Event, read_records
from core.runs.status import Status, derive_state, read_status, write_status
from core.runs.workspace import Workspace

Stub = Callable[[RunFolder, str], list[str]]
Until = Callable[[Callable[[], object]], None]

START = """
import json, sys, time
from pathlib import Path
from core.runs.folder import RunFolder
from core.runs.process import start_run
run, command, go = RunFolder(Path(sys.argv[1])), json.loads(sys.argv[2]), Path(sys.argv[3])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
print(start_run(run, command=command), flush=True)
time.sleep(float(sys.argv[4]))
"""


def starter(run: RunFolder, command: list[str], go: Path, stay: float = 0.0) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", START, str(run.path), json.dumps(command), str(go), str(stay)]
    process = subprocess.Popen(argv, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def is_training(run: RunFolder) -> Callable[[], bool]:
    return lambda: read_status(run).phase == "training" and read_status(run).pid is not None


def signals(run: RunFolder) -> list[str]:
    return [str(event.details["signal"]) for event in read_records(Event, run.events_path) if event.kind == "signal"]


def test_a_run_starts_runs_and_is_done(run: RunFolder, stub: Stub) -> None:
    pid = start_run(run, command=stub(run, "finish"))
    assert derive_state(run).label == "running"
    state = wait_for_end(run, 15)
    assert (state.label, state.status.step, state.status.pid) == ("done", 3, pid)


def test_the_default_command_is_the_command_line_on_the_run(run: RunFolder, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PWD" "$@"\n')
    python.chmod(0o755)
    start_run(run, str(python))
    assert wait_for_end(run, 15).label == "failed"
    assert run.log_path.read_text().strip() == f"{PROJECT_ROOT} -m core run {run.path}"


def test_the_child_gets_a_session_of_its_own_and_no_gradio_variables(
    run: RunFolder, stub: Stub, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADIO_SHARE", "True")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.chdir(tmp_path)
    pid = start_run(run, command=stub(run, "environment"))
    until(lambda: read_exit(run.exit_path))
    seen = json.loads((run.path / "seen.json").read_text())
    assert (seen["pid"], seen["sid"], seen["cwd"]) == (pid, pid, str(PROJECT_ROOT))
    assert "GRADIO_SHARE" not in seen["environ"]
    assert seen["environ"]["HF_HUB_OFFLINE"] == "1"
    assert seen["environ"]["PYTHONUNBUFFERED"] == "1"
    assert seen["environ"]["PYTHONPATH"].split(":") == [str(PROJECT_ROOT), "/somewhere"]


def test_a_child_that_dies_without_a_word_is_failed_with_the_end_of_its_log(run: RunFolder, stub: Stub) -> None:
    start_run(run, command=stub(run, "crash"))
    state = wait_for_end(run, 15)
    assert state.label == "failed"
    assert state.message.startswith("the process ended with exit code 1 while it was encoding the pictures")
    assert state.message.endswith("OSError: the picture cat.png cannot be read")
    exited = read_exit(run.exit_path)
    assert exited is not None
    assert exited.code == 1


def test_an_end_is_recorded_in_status_and_events(run: RunFolder, stub: Stub, until: Until) -> None:
    start_run(run, command=stub(run, "crash"))
    until(lambda: read_status(run).phase == "failed")
    assert "cat.png" in str(read_status(run).error)
    (event,) = [event for event in read_records(Event, run.events_path) if event.kind == "exit"]
    assert event.details["code"] == 1


def test_a_program_that_is_not_there_fails_the_run_in_one_sentence(run: RunFolder) -> None:
    with pytest.raises(RunError, match="/no/python must be a program that can be started, got an error: no such file"):
        start_run(run, "/no/python")
    assert derive_state(run).label == "failed"
    assert "/no/python" in derive_state(run).message


def test_a_run_outlives_the_death_of_its_starter(run: RunFolder, stub: Stub, until: Until, tmp_path: Path) -> None:
    go = tmp_path / "go"
    page = starter(run, stub(run, "train"), go, stay=20.0)
    go.touch()
    until(is_training(run))
    page.kill()
    page.wait()
    step = read_status(run).step
    until(lambda: read_status(run).step > step + 3)
    assert derive_state(run).label == "running"
    assert stop_run(run).label == "stopping"
    state = wait_for_end(run, 15)
    assert (state.label, state.message) == ("stopped", "stopped and saved")


def test_a_death_that_nobody_saw_is_a_loss_and_frees_the_workspace(
    workspace: Workspace, run: RunFolder, stub: Stub, until: Until, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    page = starter(run, stub(run, "train"), go, stay=20.0)
    go.touch()
    until(is_training(run))
    page.kill()
    page.wait()
    assert training_in_progress(workspace.root) == 'run "demo"'
    identity = read_identity(run.process_path)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: not identity.alive())
    assert derive_state(run).label == "lost"
    assert training_in_progress(workspace.root) is None


def test_a_second_start_is_refused_by_the_name_of_the_first(
    workspace: Workspace, run: RunFolder, config: RunConfig, stub: Stub
) -> None:
    start_run(run, command=stub(run, "train"))
    other = RunFolder.create(workspace.runs_dir, "other", config)
    for again in (run, other):
        with pytest.raises(RunError, match=r'one training must run at a time.*run "demo" is in progress'):
            start_run(again, command=stub(again, "train"))
    assert derive_state(other).label == "queued"
    stop_run(run)
    assert wait_for_end(run, 15).label == "stopped"
    start_run(other, command=stub(other, "finish"))
    assert wait_for_end(other, 15).label == "done"


def test_of_several_starts_at_the_same_instant_exactly_one_wins(
    workspace: Workspace, config: RunConfig, stub: Stub, tmp_path: Path
) -> None:
    runs = [RunFolder.create(workspace.runs_dir, f"run-{number}", config) for number in range(4)]
    go = tmp_path / "go"
    starters = [starter(run, stub(run, "train"), go) for run in runs]
    go.touch()
    errors = [process.communicate(timeout=20)[1] for process in starters]
    winners = [run for run, process in zip(runs, starters, strict=True) if process.returncode == 0]
    assert len(winners) == 1
    assert sum(f'run "{winners[0].name}" is in progress' in error for error in errors) == 3
    assert [derive_state(run).label for run in runs].count("running") == 1
    assert [derive_state(run).label for run in runs].count("queued") == 3


def test_a_run_that_is_done_does_not_start_again(run: RunFolder, stub: Stub) -> None:
    write_status(run, Status("done"))
    with pytest.raises(RunError, match="run must be one that is not done"):
        start_run(run, command=stub(run, "finish"))


def test_a_run_that_was_stopped_starts_again(run: RunFolder, stub: Stub) -> None:
    start_run(run, command=stub(run, "train"))
    stop_run(run)
    assert wait_for_end(run, 15).label == "stopped"
    start_run(run, command=stub(run, "finish"))
    assert not stop_requested(run)
    assert wait_for_end(run, 15).label == "done"


def test_a_stop_is_honoured_by_the_control_file_alone(run: RunFolder, stub: Stub, until: Until) -> None:
    start_run(run, command=stub(run, "train"))
    until(is_training(run))
    stop_run(run)
    assert wait_for_end(run, 15).message == "stopped and saved"
    assert signals(run) == []


def test_a_stop_goes_on_to_sigint_when_the_control_file_is_not_looked_at(run: RunFolder, until: Until) -> None:
    deaf = (
        "import signal, sys, time\nsignal.signal(2, lambda *_: sys.exit(0))\nprint('ready', flush=True)\ntime.sleep(20)"
    )
    start_run(run, command=[sys.executable, "-c", deaf])
    until(lambda: run.log_path.read_text() == "ready\n")
    stop_run(run, grace=0.2)
    assert wait_for_end(run, 15).label == "stopped"
    assert signals(run) == ["SIGINT"]


def test_a_stop_ends_a_process_that_ignores_everything_with_all_that_it_started(
    run: RunFolder, stub: Stub, until: Until
) -> None:
    start_run(run, command=stub(run, "stubborn"))
    until(lambda: read_status(run).message.isdigit())
    worker = Identity.of(int(read_status(run).message))
    assert worker.alive()
    assert stop_run(run, grace=0.2).label == "stopping"
    state = wait_for_end(run, 15)
    assert state.label == "stopped"
    assert "SIGKILL" in state.message
    assert signals(run) == ["SIGINT", "SIGTERM", "SIGKILL"]
    until(lambda: not worker.alive())


def test_many_pollers_send_each_signal_once(run: RunFolder, stub: Stub, until: Until) -> None:
    start_run(run, command=stub(run, "stubborn"))
    until(lambda: read_status(run).message.isdigit())
    request_stop(run, grace=0.3)
    poll = "import sys\nfrom pathlib import Path\nfrom core.runs.folder import RunFolder\n"
    poll += "from core.runs.process import wait_for_end\nwait_for_end(RunFolder(Path(sys.argv[1])), 15)"
    pages = [subprocess.Popen([sys.executable, "-c", poll, str(run.path)], cwd=PROJECT_ROOT) for _ in range(3)]
    wait_for_end(run, 15)
    assert [page.wait(timeout=20) for page in pages] == [0, 0, 0]
    assert signals(run) == ["SIGINT", "SIGTERM", "SIGKILL"]


def test_a_second_request_does_not_begin_the_grace_anew(run: RunFolder) -> None:
    request_stop(run, grace=7.0)
    first = run.stop_path.read_bytes()
    request_stop(run, grace=70.0)
    assert run.stop_path.read_bytes() == first
    assert json.loads(first)["grace"] == 7.0


def test_a_garbled_stop_request_is_a_stop_request(run: RunFolder, stub: Stub, until: Until) -> None:
    start_run(run, command=stub(run, "train"))
    until(is_training(run))
    run.stop_path.write_bytes(b"")
    advance_stop(run)
    assert wait_for_end(run, 15).label == "stopped"


def test_no_signal_goes_to_another_process_that_bears_the_pid(run: RunFolder) -> None:
    bystander = subprocess.Popen(["sleep", "20"], start_new_session=True)
    write_status(
        run, Status("training", pid=bystander.pid, create_time=psutil.Process(bystander.pid).create_time() - 60)
    )
    request_stop(run, grace=0.0)
    assert [advance_stop(run).label for _ in range(4)] == ["stopped"] * 4
    assert kill_run(run).label == "stopped"
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_stopping_what_does_not_run_changes_nothing(run: RunFolder) -> None:
    assert stop_run(run).label == "queued"
    assert kill_run(run).label == "queued"
    assert not stop_requested(run)


def test_a_kill_ends_a_run_at_once_and_it_counts_as_stopped(run: RunFolder, stub: Stub, until: Until) -> None:
    start_run(run, command=stub(run, "stubborn"))
    until(lambda: read_status(run).message.isdigit())
    kill_run(run)
    assert wait_for_end(run, 15).label == "stopped"


def test_a_run_in_a_folder_that_cannot_be_written_is_refused(workspace: Workspace, run: RunFolder) -> None:
    run.log_path.mkdir()
    with pytest.raises(RunError, match=r"log\.txt must be writable.*is a directory"):
        start_run(run)
    assert derive_state(run).label == "failed"
    run.status_path.unlink()
    run.status_path.mkdir()
    with pytest.raises(RunError, match=r"status\.json must be writable"):
        start_run(run)
    assert training_in_progress(workspace.root) is None
