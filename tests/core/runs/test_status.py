import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.launch import Child, launch, record_end, spawn
from core.runs.liveness import Identity, write_exit
from core.runs.log import log_tail
from core.runs.status import PHASES, Status, derive_state, read_status, write_status

GONE = 2**22 + 1  # beyond the largest pid that Linux gives


def of_pid(pid: int, create_time: float, phase: str = "training") -> Status:
    return Status.from_dict({"phase": phase, "pid": pid, "create_time": create_time, "heartbeat": time.time() - 90})


def test_a_status_comes_back_as_it_was(run: RunFolder) -> None:
    status = Status("training", 3, 10, 42, 1.5, 2.5, 3.5, "broke", "mend it", "on", 0.5, "rollout")
    write_status(run, status)
    assert read_status(run) == status


def test_a_run_that_was_not_started_is_queued(run: RunFolder) -> None:
    state = derive_state(run)
    assert (state.label, state.live, state.final, state.heartbeat_age) == ("queued", False, False, None)


def test_a_writer_says_who_it_is_at_once(run: RunFolder) -> None:
    StatusWriter(run, arm="rollout")
    state = derive_state(run)
    assert state.status.pid == os.getpid()
    assert state.status.create_time == psutil.Process().create_time()
    assert (state.label, state.live, state.status.phase, state.status.arm) == ("running", True, "loading", "rollout")
    assert state.heartbeat_age == pytest.approx(0, abs=5)


def test_an_update_changes_what_it_names_and_a_new_phase_begins_afresh(run: RunFolder) -> None:
    writer = StatusWriter(run)
    writer.update(phase="training", step=1, total=10, message="on", progress=0.1)
    writer.update(step=2)
    assert (read_status(run).step, read_status(run).total, read_status(run).message) == (2, 10, "on")
    writer.update(phase="sampling")
    assert (read_status(run).step, read_status(run).message, read_status(run).progress) == (2, "", 0.0)


def test_beats_are_written_once_a_second(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StatusWriter(run)
    first, now = run.status_path.read_bytes(), time.monotonic()
    monkeypatch.setattr("core.runs.heartbeat.time.monotonic", lambda: now)
    writer.beat()
    assert run.status_path.read_bytes() == first
    monkeypatch.setattr("core.runs.heartbeat.time.monotonic", lambda: now + 1.5)
    writer.beat()
    assert read_status(run).steady == now + 1.5


def test_the_last_word_stands(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = StatusWriter(run)
    writer.finish("failed", error="loss must be finite, got nan at step 3", hint="lower learning_rate")
    said = run.status_path.read_bytes()
    now = time.monotonic()
    monkeypatch.setattr("core.runs.heartbeat.time.monotonic", lambda: now + 1e10)
    writer.beat()
    assert run.status_path.read_bytes() == said
    state = derive_state(run)
    assert (state.label, state.message) == ("failed", "loss must be finite, got nan at step 3")
    assert (state.hint, state.final) == ("lower learning_rate", True)


def test_a_last_word_is_final_and_an_update_is_not(run: RunFolder) -> None:
    writer = StatusWriter(run)
    with pytest.raises(RunError, match="phase must be one of done, stopped, failed, got training"):
        writer.finish("training")
    with pytest.raises(RunError, match="phase must not be final here, got done"):
        writer.update(phase="done")


def test_a_new_life_goes_on_where_the_last_one_ended_and_forgets_its_end(run: RunFolder) -> None:
    write_status(run, Status("failed", step=50, total=100, error="broke", arm="rollout", pid=GONE, create_time=1.0))
    write_exit(run.exit_path, GONE, 1)
    run.stop_path.touch()
    StatusWriter(run)
    state = derive_state(run)
    assert (state.label, state.status.step, state.status.error, state.status.arm) == ("running", 50, None, "rollout")
    assert state.exit is None


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase not in ("queued", "done", "stopped", "failed")])
def test_a_process_that_is_gone_leaves_the_run_lost(run: RunFolder, phase: str) -> None:
    run.log_path.write_text("Traceback\nRuntimeError: out of paint\n")
    write_status(run, of_pid(GONE, 1.0, phase))
    state = derive_state(run)
    assert (state.label, state.live, state.final) == ("lost", False, True)
    assert "90 s after its last sign of life" in state.message
    assert "RuntimeError: out of paint" in state.message


def test_a_pid_that_another_process_bears_now_is_not_the_run(run: RunFolder) -> None:
    own = Identity.own()
    write_status(run, of_pid(own.pid, own.create_time))
    assert derive_state(run).label == "running"
    write_status(run, of_pid(own.pid, own.create_time - 60))
    assert derive_state(run).label == "lost"


def test_a_pid_without_a_create_time_proves_nothing(run: RunFolder) -> None:
    write_status(run, replace(of_pid(os.getpid(), 1.0), create_time=None))
    assert derive_state(run).label == "lost"


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    identity = Identity.of(child.pid)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not identity.alive()
    child.wait()
    assert not identity.alive()


def test_a_last_word_that_comes_while_one_looks_is_heard(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(folder: RunFolder, status: Status) -> None:
        write_status(folder, replace(status, phase="done"))

    write_status(run, of_pid(GONE, 1.0))
    monkeypatch.setattr("core.runs.status.live_process", look)
    assert derive_state(run).label == "done"


def test_a_run_is_not_lost_while_its_launcher_is_about_to_record_the_end(run: RunFolder) -> None:
    child = launch(run, ["false"])
    identity = Identity.of(child.pid)
    while identity.alive():
        time.sleep(0.01)
    recorder = threading.Timer(0.15, record_end, [run, child])
    recorder.start()
    assert derive_state(run).label == "failed"
    recorder.join()


def test_a_run_is_not_lost_while_it_is_being_launched(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = []

    def look_and_spawn(argv: Sequence[str], log_path: Path) -> Child:
        state = derive_state(run)
        labels.append((state.label, state.live, state.message))
        return spawn(argv, log_path)

    monkeypatch.setattr("core.runs.launch.spawn", look_and_spawn)
    child = launch(run, ["sleep", "60"])
    labels.append((derive_state(run).label, derive_state(run).live, "starting"))
    child.kill()
    assert labels == [("running", False, "starting"), ("running", True, "starting")]
    record_end(run, child)
    assert derive_state(run).label == "failed"


def test_a_launch_whose_launcher_died_in_it_is_lost(run: RunFolder) -> None:
    write_status(run, Status(phase="loading", message="starting"))
    facts = {"started": time.time(), "argv": ["sleep"], "launcher": Identity(GONE, 1.0).facts()}
    run.process_path.write_text(json.dumps(facts))
    assert derive_state(run).label == "lost"


def test_a_launch_that_cannot_record_its_process_leaves_nothing_that_seems_to_start(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_and_spawn(argv: Sequence[str], log_path: Path) -> Child:
        monkeypatch.setattr("core.runs.launch.write_process", refuse)
        return spawn(argv, log_path)

    def refuse(*_: object) -> None:
        raise RunError("process.json cannot be written")

    monkeypatch.setattr("core.runs.launch.spawn", fill_and_spawn)
    with pytest.raises(RunError):
        launch(run, ["sleep", "60"])
    assert derive_state(run).label == "lost"


def test_an_exit_record_tells_a_failure_from_a_loss(run: RunFolder) -> None:
    write_status(run, of_pid(GONE, 1.0))
    write_exit(run.exit_path, GONE, -9)
    state = derive_state(run)
    assert state.label == "failed"
    assert "was ended by SIGKILL while it was training" in state.message
    assert "memory" in str(state.hint)


def test_an_exit_record_of_an_earlier_process_is_not_believed(run: RunFolder) -> None:
    write_status(run, of_pid(GONE, 1.0))
    write_exit(run.exit_path, GONE + 1, -9)
    assert derive_state(run).label == "lost"


def test_done_with_an_exit_code_that_is_not_zero_is_a_failure(run: RunFolder) -> None:
    write_status(run, of_pid(GONE, 1.0, "done"))
    write_exit(run.exit_path, GONE, 0)
    assert derive_state(run).label == "done"
    write_exit(run.exit_path, GONE, 1)
    assert derive_state(run).label == "failed"
    assert "exit code 1 after it had said that it was done" in derive_state(run).message


def test_a_run_that_was_asked_to_stop_is_stopping_until_its_process_is_gone(run: RunFolder) -> None:
    own = Identity.own()
    write_status(run, of_pid(own.pid, own.create_time))
    run.stop_path.touch()
    assert derive_state(run).label == "stopping"
    write_status(run, of_pid(GONE, 1.0))
    assert derive_state(run).label == "stopped"
    assert derive_state(run).message == "stopped before it could save"
    write_exit(run.exit_path, GONE, -9)
    assert "ended by SIGKILL before it could save" in derive_state(run).message


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x00", b'{"phase"', b"[]", b'{"phase": "dancing", "step": "x", "pid": true}']
)
def test_a_status_that_cannot_be_understood_never_raises(run: RunFolder, data: bytes) -> None:
    run.status_path.write_bytes(data)
    assert read_status(run).step == 0
    assert derive_state(run).label == "lost"


def test_a_log_s_end_is_bounded_and_progress_bars_show_their_last_state(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 100_000 + b"\n  0%\r 50%\r100%\r\nh\xffllo\n\n")
    assert log_tail(path, limit=1000) == ["100%", "h\ufffdllo"]
    assert log_tail(path, lines=1) == ["h\ufffdllo"]
    assert log_tail(tmp_path / "none") == []
