"""The process that scores finished runs in the background."""

import sys

import pytest

from core.errors import RunError
from core.runs.lock import hold_training_lock
from core.runs.scoring import scoring_folder, scoring_state, start_scoring, stop_scoring
from core.runs.workspace import Workspace

SLEEP = [sys.executable, "-c", "import time; time.sleep(25)"]


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "workspace" / "experiments" / "ab"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def workspace(path):
    return Workspace(path.parent.parent)


def test_nothing_is_known_before_the_first_one(path):
    assert scoring_state(path) is None


def test_one_runs_at_a_time_and_can_be_stopped(workspace, path, until):
    start_scoring(workspace, path, command=SLEEP)
    assert scoring_state(path).live
    with pytest.raises(RunError, match="a scoring is in progress"):
        start_scoring(workspace, path, command=SLEEP)
    stop_scoring(path, grace=0.1)
    until(lambda: scoring_state(path).final)
    assert scoring_state(path).label == "stopped"


def test_none_is_started_while_a_training_is_in_progress(workspace, path):
    with hold_training_lock(workspace.root, "demo"), pytest.raises(RunError, match="one training must run at a time"):
        start_scoring(workspace, path, command=SLEEP)
    assert not scoring_folder(path).path.exists()


def test_the_command_is_that_of_the_terminal(workspace, path, monkeypatch):
    launched = []

    def caught(folder, argv):
        launched.append(argv)
        raise RunError("caught")

    monkeypatch.setattr("core.runs.background.launch", caught)
    with pytest.raises(RunError, match="caught"):
        start_scoring(workspace, path)
    assert launched == [[sys.executable, "-m", "core", "score", str(path), "--workspace", str(workspace.root)]]


def test_what_a_failed_one_printed_is_its_message(workspace, path, until):
    start_scoring(workspace, path, command=[sys.executable, "-c", "import sys; sys.exit('error: no finished run')"])
    until(lambda: scoring_state(path).final)
    assert scoring_state(path).label == "failed"
    assert "no finished run" in scoring_state(path).message
