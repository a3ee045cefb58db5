"""The process that makes an export in the background, and where exports lie."""

import sys

import pytest

from core.errors import RunError
from core.runs.exported import export_folder, export_path, export_state, start_export, stop_export
from core.runs.folder import RunFolder
from core.runs.lock import hold_training_lock
from core.runs.swap import replacing, require_own, zipped
from core.runs.workspace import Workspace

SLEEP = [sys.executable, "-c", "import time; time.sleep(25)"]


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "workspace" / "runs" / "cat")
    folder.path.mkdir(parents=True)
    return folder


@pytest.fixture
def workspace(run):
    return Workspace(run.path.parents[1])


def test_one_runs_at_a_time_and_can_be_stopped(workspace, run, until):
    assert export_state(export_folder(run, "kohya")) is None
    folder = start_export(workspace, run, "kohya", command=SLEEP)
    assert export_state(folder).live
    with pytest.raises(RunError, match="an export is in progress"):
        start_export(workspace, run, "peft", command=SLEEP)
    stop_export(folder, grace=0.1)
    until(lambda: export_state(folder).final)
    assert export_state(folder).label == "stopped"


def test_none_is_started_while_a_training_is_in_progress(workspace, run):
    with hold_training_lock(workspace.root, "demo"), pytest.raises(RunError, match="one training must run at a time"):
        start_export(workspace, run, "kohya", command=SLEEP)
    assert not export_folder(run, "kohya").path.exists()


def test_an_arm_and_a_run_never_share_a_folder(workspace):
    names = [export_path(workspace, name, "peft") for name in ("a/b", "a-b", "a-b/c", "a/b-c")]
    assert len(set(names)) == 4
    assert {path.parent for path in names} == {workspace.root / "exports"}


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    for text in ("first", "second"):
        with replacing(out) as folder:
            (folder / "a.txt").write_text(text)
        assert (out / "a.txt").read_text() == text
    with pytest.raises(KeyError), replacing(out) as folder:
        {}[(folder / "a.txt").write_text("third")]
    assert (out / "a.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_another_kind_is_left_alone(tmp_path):
    (tmp_path / "m.json").write_text('{"kind": "mine"}')
    require_own(tmp_path, "m.json", "mine", "thing")
    require_own(tmp_path / "new", "m.json", "mine", "thing")
    with pytest.raises(RunError, match="--out must be a new folder or an earlier report"):
        require_own(tmp_path, "m.json", "other", "report")


def test_a_name_with_a_dot_keeps_it_when_packed(tmp_path):
    folder = tmp_path / "cat.v1"
    folder.mkdir()
    (folder / "a").write_text("a")
    assert zipped(folder) == tmp_path / "cat.v1.zip"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.v1", "cat.v1.zip"]
