"""[Measure sampling sweeps]: when it can be pressed, what it starts, and what is said."""

import pytest

from app.tabs import compare_scoring
from core.runs.lock import hold_training_lock
from core.runs.scoring import scoring_folder
from core.runs.status import Status, write_status
from tests.support.fabricated import make_experiment


@pytest.fixture
def started(monkeypatch):
    """What was started, in place of starting it."""
    found = []
    monkeypatch.setattr(compare_scoring, "start_scoring", lambda workspace, path: found.append(path))
    return found


def test_an_experiment_is_scored_as_a_whole(parts, experiment, started):
    assert "Started" in compare_scoring.start(parts, [f"experiments/{experiment.name}"])
    assert started == [experiment.path]


def test_two_experiments_at_once_are_none(parts, workspace, experiment, started):
    other = make_experiment(workspace, "Another")
    picked = [f"experiments/{experiment.name}", f"experiments/{other.name}"]
    assert "Choose one experiment" in compare_scoring.start(parts, picked)
    assert started == []
    _, (text, start, stop) = compare_scoring.render(parts, "", picked)
    assert (text, start.visible, stop.visible) == ("", False, False)


def test_while_something_trains_the_button_waits_and_says_why(parts, workspace, experiment):
    picked = [f"experiments/{experiment.name}"]
    known, (_, start, _) = compare_scoring.render(parts, "", picked)
    assert start.visible
    assert start.interactive
    assert compare_scoring.render(parts, known, picked) == (known, None)
    with hold_training_lock(workspace.root, "demo"):
        _, (text, start, _) = compare_scoring.render(parts, known, picked)
        assert "in progress" in text
        assert not start.interactive
        assert "one training must run at a time" in compare_scoring.start(parts, picked)


def test_a_scoring_that_failed_says_why(parts, experiment):
    folder = scoring_folder(experiment.path)
    folder.path.mkdir()
    write_status(folder, Status(phase="failed", error="no space left"))
    _, (text, start, _) = compare_scoring.render(parts, "", [f"experiments/{experiment.name}"])
    assert "no space left" in text
    assert start.visible
