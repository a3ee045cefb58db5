"""A workspace that cannot be written: every command says so in one sentence, before any work, and leaves nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from disks import make_read_only, small_disk
from real_trainings import PATIENCE, Place, environment, finish, typed

from core.config.paths import PROJECT_ROOT

READ_ONLY = "must be writable, got an error: read-only file system; choose a folder on a disk that is not read-only"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace that has become read-only after a run was trained and another one was made."""
    folder = tmp_path_factory.mktemp("read-only")
    with small_disk(folder / "disk", 40) as disk:
        place = Place(folder, disk / "workspace")
        place.run("begun")
        make_read_only(disk)
        yield place


def listing(place: Place) -> list[Path]:
    return sorted(place.workspace.rglob("*"))


def refused(place: Place, *words: str) -> str:
    """The only sentence of a command that is refused; nothing has changed."""
    before = listing(place)
    done = typed(*words, ROLLOUT_WORKSPACE=str(place.workspace))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert listing(place) == before
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return sentence


def test_train_and_ab_are_refused_before_anything_is_loaded(place):
    for words in (("train", str(place.file())), ("ab", str(place.file()))):
        sentence = refused(place, *words)
        assert READ_ONLY in sentence
        assert str(place.workspace) in sentence


def test_the_page_does_not_start(place):
    before = listing(place)
    words = [sys.executable, "-m", "app", "--workspace", str(place.workspace), "--port", "7999"]
    done = subprocess.run(
        words, cwd=PROJECT_ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode != 0
    (sentence,) = done.stderr.splitlines()
    assert READ_ONLY in sentence
    assert listing(place) == before


@pytest.mark.faults
@pytest.mark.parametrize(
    "words",
    [
        ("run", "begun"), ("resume", "begun"), ("inspect", "base"), ("forecast", "FILE"), ("stop", "begun"),
        ("queue", "add", "begun"), ("pause", "begun"), ("save", "begun"), ("sample-now", "begun"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_other_command_that_writes_is_refused(place, words):
    given = tuple(str(place.file()) if word == "FILE" else word for word in words)
    if words[0] in ("stop", "pause", "save", "sample-now"):  # nothing is in progress: nothing has to be written
        done = typed(*given, ROLLOUT_WORKSPACE=str(place.workspace))
        assert done.returncode in (0, 1)
        assert "Traceback" not in done.stderr
        return
    sentence = refused(place, *given)
    assert READ_ONLY in sentence
    assert str(place.workspace) in sentence


@pytest.mark.faults
def test_a_finished_run_can_be_looked_at_and_drawn_with_elsewhere(tmp_path):
    with small_disk(tmp_path / "disk", 40) as disk:
        place = Place(tmp_path, disk / "workspace")
        finish(place.run("done", max_train_steps=2))
        make_read_only(disk)
        known = {"ROLLOUT_WORKSPACE": str(place.workspace)}
        looked = typed("status", "done", **known)
        assert (looked.returncode, looked.stdout.split()[:2]) == (0, ["done", "done"])
        for words in (("sample", "done", "--prompt", "a sks cat", "--count", "1"), ("inspect", "done")):
            sentence = refused(place, *words)
            assert READ_ONLY in sentence
        out = tmp_path / "out"
        drawn = typed("sample", "done", "--prompt", "a sks cat", "--count", "1", "--out", str(out), **known)
        assert drawn.returncode == 0, drawn.stderr
        assert len(list(out.rglob("*.png"))) == 1
