import os
import signal
import subprocess
import sys

import pytest

from core.config.paths import PROJECT_ROOT
from core.errors import RunError
from core.runs.files import to_json
from core.runs.liveness import Identity
from core.runs.lock import hold_training_lock, record_launch, starting, training_in_progress
from core.runs.workspace import Workspace

HOLD = """
import sys, time
from pathlib import Path
from core.runs.lock import hold_training_lock
with hold_training_lock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(20)
"""


def hold(workspace: Workspace, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(workspace.root), name]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_nothing_is_in_progress_in_a_new_workspace(workspace: Workspace) -> None:
    assert training_in_progress(workspace.root) is None
    assert not workspace.root.exists()


def test_a_second_training_is_refused_by_the_name_of_the_first_until_that_one_dies(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.runs.lock.LOCK_SECONDS", 0.2)
    first = hold(workspace, "cat-3")
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    assert training_in_progress(workspace.root) == 'run "cat-3"'
    with pytest.raises(RunError, match='run "cat-3" is in progress'), hold_training_lock(workspace.root, "dog"):
        pytest.fail("two trainings at once")
    first.kill()
    first.wait()
    assert training_in_progress(workspace.root) is None
    with hold_training_lock(workspace.root, "dog"):
        assert training_in_progress(workspace.root) == 'run "dog"'
    assert training_in_progress(workspace.root) is None


def test_asking_never_keeps_a_training_from_getting_the_lock(workspace: Workspace) -> None:
    with hold_training_lock(workspace.root, "first"):
        pass
    ask = "import sys\nfrom pathlib import Path\nfrom core.runs.lock import training_in_progress\n"
    ask += "while True: training_in_progress(Path(sys.argv[1]))"
    nosy = [subprocess.Popen([sys.executable, "-c", ask, str(workspace.root)], cwd=PROJECT_ROOT) for _ in range(2)]
    try:
        held = []
        for _ in range(200):
            with hold_training_lock(workspace.root, "cat"):
                held.append(training_in_progress(workspace.root))
    finally:
        for process in nosy:
            process.kill()
            process.wait()
    assert held == ['run "cat"'] * 200


def test_a_launched_process_counts_before_it_has_the_lock_and_only_while_it_lives(workspace: Workspace) -> None:
    child = subprocess.Popen(["sleep", "20"])
    with starting(workspace.root):
        record_launch(workspace.root, 'run "cat"', workspace.runs_dir / "cat", Identity.of(child.pid))
    with pytest.raises(RunError, match='run "cat" is in progress'), starting(workspace.root):
        pytest.fail("two starts")
    with pytest.raises(RunError, match='run "cat" is in progress'), hold_training_lock(workspace.root, "dog"):
        pytest.fail("overtaken between start and lock")
    child.kill()
    child.wait()
    with starting(workspace.root):
        assert training_in_progress(workspace.root) is None


def test_a_record_of_a_pid_that_is_another_process_now_blocks_nothing(workspace: Workspace) -> None:
    child = subprocess.Popen(["sleep", "20"])
    record_launch(workspace.root, 'run "cat"', workspace.runs_dir / "cat", Identity(child.pid, 1.0))
    assert training_in_progress(workspace.root) is None
    child.kill()
    child.wait()


def test_a_start_waits_for_a_process_that_has_said_its_last_word(workspace: Workspace) -> None:
    folder = workspace.runs_dir / "cat"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(to_json({"phase": "done"}))
    child = subprocess.Popen(["sleep", "0.4"])
    record_launch(workspace.root, 'run "cat"', folder, Identity.of(child.pid))
    assert training_in_progress(workspace.root) == 'run "cat"'
    with starting(workspace.root):
        assert not Identity.of(child.pid).alive()
    child.wait()


def test_the_driver_s_children_may_train_and_strangers_may_not(workspace: Workspace) -> None:
    record_launch(workspace.root, 'experiment "ab"', workspace.experiments_dir / "ab", Identity.own())
    child = hold(workspace, "arm")
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    stranger = subprocess.Popen(["sleep", "20"])
    record_launch(workspace.root, 'experiment "ab"', workspace.experiments_dir / "ab", Identity.of(stranger.pid))
    refused = hold(workspace, "arm")
    assert 'experiment "ab" is in progress' in refused.communicate(timeout=15)[1]
    stranger.kill()
    stranger.wait()


def test_a_workspace_that_cannot_be_written_is_named(workspace: Workspace) -> None:
    workspace.root.write_text("in the way")
    with pytest.raises(RunError, match=r"workspace/\.training must be writable"), starting(workspace.root):
        pytest.fail("started")
