"""Pause, continue, save now, sample now: files in the run folder, refused where nobody would honour them."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import RunError
from core.runs.experiment import create_experiment, experiment_state
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.launch import forget_last_life
from core.runs.liveness import Identity, read_identity
from core.runs.process import request_stop, start_run, stop_run, wait_for_end
from core.runs.records import record_event
from core.runs.requests import (
    REQUESTS,
    continue_run,
    forget,
    is_requested,
    pause_run,
    request_sample,
    request_save,
    wait_until_heard,
)
from core.runs.status import Status, derive_state, write_status
from core.runs.workspace import Workspace

Stub = Callable[[RunFolder, str], list[str]]
Until = Callable[[Callable[[], object]], None]
ASK = {"pause": pause_run, "save": request_save, "sample": request_sample}
PATHS = {"pause": "pause", "save": "save", "sample": "sample"}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("label", ["queued", "done", "stopped", "failed", "lost"])
def test_a_request_to_what_does_not_run_is_refused_with_a_sentence(
    run: RunFolder, request_name: str, label: str
) -> None:
    if label == "lost":
        write_status(run, Status("training", pid=2**22 + 1, create_time=1.0))
    elif label != "queued":
        write_status(run, Status(label))  # type: ignore[arg-type]
    with pytest.raises(RunError, match=f'must be in progress, got "demo", which is {label}'):
        ASK[request_name](run)
    with pytest.raises(RunError, match=f'run to continue must be in progress, got "demo", which is {label}'):
        continue_run(run)
    assert not is_requested(run, request_name)  # type: ignore[arg-type]


def test_what_is_stopping_takes_no_request(run: RunFolder) -> None:
    StatusWriter(run, phase="training")
    request_stop(run)
    for ask in ASK.values():
        with pytest.raises(RunError, match="which is stopping"):
            ask(run)


@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_request_is_a_file_that_asking_again_leaves_alone(run: RunFolder, request_name: str) -> None:
    StatusWriter(run, phase="training")
    ASK[request_name](run)
    path = run.path / PATHS[request_name]
    first = path.read_bytes()
    ASK[request_name](run)
    assert path.read_bytes() == first
    assert is_requested(run, request_name)  # type: ignore[arg-type]
    assert derive_state(run).label == "running"  # asked for, not yet honoured


def test_a_pause_is_taken_back_or_ended_by_continue(run: RunFolder) -> None:
    writer = StatusWriter(run, phase="training")
    with pytest.raises(RunError, match='run to continue must be paused, got "demo", which is running'):
        continue_run(run)
    pause_run(run)
    writer.update(phase="paused", message="paused after step 3")
    state = derive_state(run)
    assert (state.label, state.message, state.final) == ("paused", "paused after step 3", False)
    pause_run(run)
    continue_run(run)
    assert not is_requested(run, "pause")


def test_what_is_paused_and_asked_to_stop_is_stopping_and_what_died_in_it_is_lost(run: RunFolder) -> None:
    StatusWriter(run, phase="training").update(phase="paused")
    request_stop(run)
    assert derive_state(run).label == "stopping"
    run.stop_path.unlink()
    write_status(run, Status("paused", pid=2**22 + 1, create_time=1.0))
    assert derive_state(run).label == "lost"


def test_requests_of_an_earlier_life_are_forgotten_at_the_start(run: RunFolder, stub: Stub, until: Until) -> None:
    for name in ("stop", *PATHS.values()):
        (run.path / name).touch()
    start_run(run, command=stub(run, "train"))
    until(lambda: derive_state(run).status.step > 0)
    assert [name for name in ("stop", *PATHS.values()) if (run.path / name).exists()] == []
    pause_run(run)
    forget_last_life(run)  # the process is alive: what is asked of it stands
    assert is_requested(run, "pause")
    stop_run(run)
    assert wait_for_end(run, 60).label == "stopped"


def test_waiting_ends_with_what_was_done_and_when_the_run_does(run: RunFolder) -> None:
    writer = StatusWriter(run, phase="training")
    request_save(run)

    def honour() -> None:
        record_event(run.events_path, "save", "step 7 is saved")
        forget(run, "save")

    answer = threading.Timer(0.1, honour)
    answer.start()
    assert wait_until_heard(run, "save") == "step 7 is saved"
    answer.join()
    pause_run(run)
    end = threading.Timer(0.1, writer.finish, ["done"])
    end.start()
    with pytest.raises(RunError, match='run must stay in progress to pause, got "demo", which is done now'):
        wait_until_heard(run, "pause")
    end.join()


def test_a_request_in_a_folder_that_cannot_be_written_is_told(run: RunFolder, tmp_path: Path) -> None:
    StatusWriter(run, phase="training")
    run.save_path.symlink_to(tmp_path / "no" / "folder")
    request_save(run)  # something stands in its place: that counts as asked
    run.pause_path.mkdir()
    with pytest.raises(RunError, match="pause must be writable"):
        forget(run, "pause")


def test_an_experiment_is_paused_while_its_arm_is(workspace: Workspace, config) -> None:
    experiment = create_experiment(workspace, "ab", config)
    parent = Identity.of(os.getppid())
    write_status(experiment.folder, Status("training", message="arm 1 of 2").by(parent).beaten())
    write_status(experiment.arms[0].run, Status("paused", 3, 10).by(parent).beaten())
    assert experiment_state(experiment).label == "paused"
    request_stop(experiment.folder)
    assert experiment_state(experiment).label == "stopping"


def test_a_last_word_is_no_end_while_the_process_lives(run: RunFolder, stub: Stub, until: Until) -> None:
    """Stopped is said when the process is gone; before it is still stopping."""
    start_run(run, command=stub(run, "linger"))
    until(lambda: derive_state(run).status.final)
    state = derive_state(run)
    assert (state.label, state.final, state.live) == ("stopping", False, True)
    assert state.message == "stopped; its process is ending"
    identity = read_identity(run.process_path)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    assert wait_for_end(run, 60).label == "stopped"


def test_a_training_that_is_done_counts_as_done_when_its_process_is_gone(
    run: RunFolder, stub: Stub, until: Until
) -> None:
    start_run(run, command=stub(run, "linger-done"))
    until(lambda: derive_state(run).status.final)
    assert derive_state(run).label == "running"
    assert derive_state(run).message == "done; its process is ending"
    stop_run(run, grace=0.2)
    assert wait_for_end(run, 60).label in ("done", "failed")


def test_sigkill_reaches_descendants_in_sessions_of_their_own(run: RunFolder, stub: Stub, until: Until) -> None:
    """A launcher of several processes starts each in a session of its own: a group's signal passes them by."""
    start_run(run, command=stub(run, "launcher"))
    until(lambda: derive_state(run).status.message.isdigit())
    worker = Identity.of(int(derive_state(run).status.message))
    assert worker.alive()
    assert os.getsid(worker.pid) == worker.pid
    stop_run(run, grace=0.1)
    assert wait_for_end(run, 60).label == "stopped"
    deadline = time.monotonic() + 60
    while worker.alive():
        assert time.monotonic() < deadline
        time.sleep(0.02)
