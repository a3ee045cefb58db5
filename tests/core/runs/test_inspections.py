"""Where inspections lie, how one is read safely, and the process that does one in the background."""

import json
import sys

import pytest

from core.errors import DataError, RunError
from core.models.lora_audit import Audit, Update
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.inspection import FILE_NAME, Inspection, Strip, finish_inspection, read_inspection
from core.runs.inspections import (
    REQUEST,
    begin_inspection,
    inspection_folder,
    inspection_folders,
    inspection_state,
    inspections_dir,
    list_inspections,
    name_of_file,
    new_inspection,
    request_of,
    start_inspection,
    stop_inspection,
)
from core.runs.lock import hold_training_lock
from core.runs.status import read_status

COUNTS = {"8": 2}
AUDIT = Audit(
    "lora.safetensors", "kohya", 100, 2, {"unet": 2}, COUNTS, COUNTS, {"F16": 2}, {"ss_x": "<b>"},
    (Update("unet.a", 1.5),), 1.5, ("unet.b",), (), (),
)  # fmt: skip
STRIP = Strip("base", "own", 0, (900.0, 100.0), ("pictures/a.png", "pictures/b.png"), (0.0, 0.5), (0.1, -0.2))
RECORDS = (DriftRecord(step=0, scope="full", base=True, m1=(0.1,)), DriftRecord(step=0, scope="full", m1=(0.2,)))


def found_in(folder: RunFolder, **changes) -> Inspection:
    values = {
        "folder": folder, "what": "file", "target": "lora", "created": 5.0, "base_model": "embedded",
        "adapter": "/lora.safetensors", "facts": {"pairs": 32}, "audit": AUDIT, "notes": ("so",),
        "clean": ("pictures/c.png",), "strips": (STRIP,),
    }  # fmt: skip
    return Inspection(**{**values, **changes})


def finished(workspace, name="lora") -> RunFolder:
    folder = new_inspection(workspace, name)
    begin_inspection(folder, "file", name)
    finish_inspection(found_in(folder), RECORDS)
    return folder


def spoil(folder: RunFolder, **changes) -> None:
    path = folder.path / FILE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_inspection_reads_back(workspace):
    folder = finished(workspace)
    assert read_inspection(folder) == found_in(folder)
    assert read_inspection(folder).records() == RECORDS


def test_an_inspection_without_a_lora_reads_back(workspace):
    folder = new_inspection(workspace, "base")
    begin_inspection(folder, "base", "base")
    bare = found_in(folder, what="base", adapter=None, audit=None, strips=())
    finish_inspection(bare, RECORDS[:1])
    assert read_inspection(folder) == bare


def test_inspections_of_runs_arms_and_files_are_listed_newest_first(workspace, run):
    experiment = workspace.experiments_dir / "ab"
    arm = RunFolder.create(experiment, "rollout", run.config())
    (experiment / "experiment.json").write_text("{}")
    folders = [inspection_folder(run), inspection_folder(arm), new_inspection(workspace, "My LoRA!")]
    for place, folder in enumerate(folders):
        begin_inspection(folder, "run", str(place))
        finish_inspection(found_in(folder), RECORDS)
        (folder.path / REQUEST).write_text(json.dumps({"what": "run", "target": str(place), "created": place}))
    assert folders[2].path == inspections_dir(workspace) / "my-lora"
    assert inspection_folders(workspace) == folders[::-1]
    assert [found.folder for found in list_inspections(workspace)[0]] == folders[::-1]
    assert request_of(folders[0]) == ("run", "0")
    assert [found.name for found in workspace.runs()] == [run.name]


def test_an_unfinished_inspection_is_known_but_has_no_result(workspace):
    folder = new_inspection(workspace, "half")
    begin_inspection(folder, "base", "base")
    assert inspection_folders(workspace) == [folder]
    assert list_inspections(workspace) == ([], [])
    with pytest.raises(RunError, match="finished inspection"):
        read_inspection(folder)


@pytest.mark.parametrize("text", ["{", "[]", "", "null", "[" * 100_000, '{"what": "file"}'])
def test_a_corrupt_inspection_is_passed_over_and_said(workspace, text):
    good, bad = finished(workspace, "good"), finished(workspace, "bad")
    (bad.path / FILE_NAME).write_text(text)
    found, problems = list_inspections(workspace)
    assert [each.folder for each in found] == [good]
    assert len(problems) == 1
    assert str(bad.path / FILE_NAME) in problems[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"what": "nonsense"}, {"facts": []}, {"strips": None}, {"notes": "text"}, {"strips": ["text"]},
        {"audit": {"format": "kohya"}}, {"clean": ["../../secret.png"]},
        {"strips": [{**STRIP.__dict__, "pictures": ["pictures/a.png", "/etc/passwd.png"]}]},
        {"strips": [{**STRIP.__dict__, "pictures": ["pictures/a.png", "pictures/../b.png"]}]},
        {"strips": [{**STRIP.__dict__, "distance": [1.0]}]}, {"strips": [{**STRIP.__dict__, "which": "other"}]},
    ],
)  # fmt: skip
def test_what_is_no_inspection_is_refused(workspace, changes):
    folder = finished(workspace)
    spoil(folder, **changes)
    with pytest.raises(RunError, match="must be an inspection"):
        read_inspection(folder)


def test_beginning_again_takes_the_old_result_away(workspace):
    folder = finished(workspace)
    begin_inspection(folder, "file", "lora")
    assert not (folder.path / FILE_NAME).exists()
    assert not folder.drift_path.exists()


def test_a_folder_with_other_things_is_left_alone(workspace, run):
    run.drift_path.write_text("{}\n")
    with pytest.raises(RunError, match="new or empty folder"):
        begin_inspection(run, "run", "demo")
    assert run.drift_path.read_text() == "{}\n"


def test_a_file_is_named_after_its_folder_where_its_own_name_says_nothing(tmp_path):
    assert name_of_file(tmp_path / "cat" / "pytorch_lora_weights.safetensors") == "cat"
    assert name_of_file(tmp_path / "cat" / "dog.safetensors") == "dog"


def typed(folder: RunFolder) -> list[str]:
    return json.loads(folder.process_path.read_text())["argv"]


def test_what_is_started_can_be_typed(workspace, config, run, tmp_path, until):
    lora = tmp_path / "lora.safetensors"
    lora.write_bytes(b"")
    shown = [sys.executable, "-c", "import time; time.sleep(0.1)"]
    for what, target in (("run", run), ("file", str(lora)), ("base", "")):
        folder = start_inspection(workspace, what, target, None if what == "run" else config, command=shown)
        until(lambda folder=folder: inspection_state(folder).final)
        assert request_of(folder)[0] == what
        assert folder.config_path.exists() == (what != "run")
    assert {folder.path.name for folder in inspection_folders(workspace)} == {"inspection", "lora", "base-embedded"}


def test_the_command_is_that_of_the_terminal(workspace, config, until):
    folder = start_inspection(workspace, "base", "", config)
    stop_inspection(folder, grace=0.05)
    until(lambda: inspection_state(folder).final)
    assert typed(folder)[1:] == [
        "-m", "core", "inspect", "base", "--preset", str(folder.config_path), "--out", str(folder.path),
        "--workspace", str(workspace.root),
    ]  # fmt: skip


def test_none_is_started_while_a_training_is_in_progress(workspace, run, config):
    with hold_training_lock(workspace.root, "demo"), pytest.raises(RunError, match="one training must run at a time"):
        start_inspection(workspace, "base", "", config)
    assert inspection_folders(workspace) == []


def test_one_inspection_runs_at_a_time_and_can_be_stopped(workspace, run, config, stub, until):
    folder = start_inspection(
        workspace, "base", "", config, command=[sys.executable, "-c", "import time; time.sleep(25)"]
    )
    assert inspection_state(folder).live
    with pytest.raises(RunError, match="an inspection is in progress"):
        start_inspection(workspace, "run", run)
    stop_inspection(folder, grace=0.1)
    until(lambda: inspection_state(folder).final)
    assert inspection_state(folder).label == "stopped"


@pytest.mark.parametrize("name", ["gone.safetensors", "lora.bin", "lora.ckpt"])
def test_a_path_that_is_no_safetensors_file_is_refused(workspace, config, tmp_path, name):
    (tmp_path / "lora.bin").write_bytes(b"")
    with pytest.raises(DataError, match=name):
        start_inspection(workspace, "file", str(tmp_path / name), config)
    assert inspection_folders(workspace) == []


def test_a_file_needs_a_config(workspace, tmp_path):
    with pytest.raises(RunError, match="config must be given"):
        start_inspection(workspace, "base", "")
    assert read_status(RunFolder(inspections_dir(workspace))).phase == "queued"
