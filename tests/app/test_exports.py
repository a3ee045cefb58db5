"""The Export tab over fabricated exports, without a browser and without a model."""

import os
import sys

import gradio as gr
import pytest

from app.serve import may_serve
from app.tabs import export
from core.config.flat import flatten, parse_config
from core.runs.exported import FILE_NAME, export_folder, start_export
from core.runs.folder import RunFolder
from core.runs.lock import hold_training_lock
from tests.support.exports import exported, give_adapter
from tests.support.fabricated import changed, finish, look_at

SLEEP = [sys.executable, "-c", "import time; time.sleep(25)"]


@pytest.fixture
def run(workspace, demo) -> RunFolder:
    made = RunFolder.create(workspace.runs_dir, "Cat", demo)
    give_adapter(made)
    finish(made)
    return made


def shown(parts, target="cat", format="kohya", seen=""):
    return look_at(parts, "export", seen, **{"export.target": target, "export.format": format})


def test_without_a_trained_lora_it_says_so(parts, workspace):
    outputs, _ = shown(parts, "")
    assert "No training has a LoRA yet" in outputs["export.result"]
    assert outputs["export.download"].visible is False


def test_trainings_and_arms_with_a_lora_are_offered_the_newest_chosen(parts, workspace, run, experiment):
    give_adapter(experiment.arms[1].run)
    outputs, _ = shown(parts, "")
    names = [name for _, name in outputs["export.run"].choices]
    assert set(names) == {"cat", "orange-cat/rollout"}
    assert outputs["export.target"] == names[0]


def test_a_finished_export_shows_what_was_measured_and_is_offered(parts, workspace, run):
    folder = exported(workspace, run)
    outputs, seen = shown(parts)
    assert "deviates by 2.0e-06 of the adapter" in outputs["export.result"]
    assert "mine.safetensors" in outputs["export.result"]
    assert "2048 bytes" in outputs["export.result"]
    assert outputs["export.download"].value["path"] == f"{folder}.zip"
    assert shown(parts, seen=seen)[0] == {}
    assert "Nothing exported yet" in shown(parts, format="peft")[0]["export.result"]


def test_only_the_packed_export_is_served(parts, workspace, run):
    folder = exported(workspace, run)
    shown(parts)
    assert may_serve(f"{folder}.zip")
    for path in (folder / "mine.safetensors", folder / "README.md", folder / FILE_NAME):
        assert not may_serve(str(path))
    assert not may_serve(str(run.adapter_dir / "pytorch_lora_weights.safetensors"))
    outside = workspace.root.parent / "key.txt"
    outside.write_text("secret")
    (folder.parent / "link.zip").symlink_to(outside)
    assert not may_serve(str(folder.parent / "link.zip"))


def test_a_zip_of_an_earlier_export_is_not_offered(parts, workspace, run):
    folder = exported(workspace, run)
    os.utime(f"{folder}.zip", (1, 1))
    assert shown(parts)[0]["export.download"].visible is False


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_kohya_keys_for_a_transformer_are_refused_before_they_are_asked_for(parts, workspace, demo, family):
    values = {**flatten(changed(demo, scheduled_sampling_max_step_offset=0)), "family": family}
    give_adapter(RunFolder.create(workspace.runs_dir, "Other", parse_config(values)))
    outputs, _ = shown(parts, "other")
    assert "ask for diffusers, whose keys are what ComfyUI reads" in outputs["export.help"]
    assert outputs["export.start"].interactive is False
    assert "ask for diffusers" in export.start(parts, "other", "kohya")
    assert shown(parts, "other", "diffusers")[0]["export.start"].interactive is True


def test_progress_is_shown_and_can_be_stopped(parts, workspace, run, until):
    folder = start_export(workspace, run, "kohya", command=SLEEP)
    outputs, _ = shown(parts)
    assert 'role="status"' in outputs["export.state"]
    assert outputs["export.stop"].visible is True
    assert outputs["export.start"].interactive is False
    assert outputs["export.download"].visible is False
    assert export.stop(parts, "cat", "kohya") == ""
    (folder.path / "stop").write_text('{"time": 1}')  # asked long ago: the next looks send signals
    until(lambda: "stopped" in shown(parts)[0]["export.state"])


def test_a_failure_is_told_in_its_own_sentence(parts, workspace, run):
    export_folder(run, "kohya").path.mkdir(parents=True)
    finish(export_folder(run, "kohya"), "failed", error="the disk is <full>", hint="free some space")
    html = shown(parts)[0]["export.state"]
    assert "the disk is &lt;full&gt;" in html
    assert "free some space" in html
    assert 'role="alert"' in html


def test_nothing_starts_beside_a_training(parts, workspace, run):
    with hold_training_lock(workspace.root, "demo"):
        assert "one training must run at a time" in export.start(parts, "cat", "kohya")
        assert shown(parts)[0]["export.start"].interactive is False
    assert not export_folder(run, "kohya").path.exists()


@pytest.mark.parametrize(("target", "format"), [("", "kohya"), ("none", "kohya"), ("../cat", "peft"), ("cat", "other")])
def test_what_is_not_there_is_refused_in_a_sentence(parts, workspace, run, target, format):
    assert 'class="' in export.start(parts, target, format)
    assert not (workspace.root / "exports").exists()
    assert not (run.path / "exporting").exists()
    shown(parts, target, format)


def test_the_page_starts_the_command_of_the_terminal(parts, workspace, run, monkeypatch):
    launched = []
    monkeypatch.setattr("core.runs.background.launch", lambda folder, argv: launched.append(argv) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.start(parts, "cat", "peft")
    assert launched == [
        [sys.executable, "-m", "core", "export", str(run.path), "--format", "peft", "--zip", "--workspace",
         str(workspace.root)]
    ]  # fmt: skip


def test_a_damaged_record_shows_nothing(parts, workspace, run):
    folder = exported(workspace, run)
    for text in ("", "[]", '{"kind": "rollout export", "files": 3, "measured": [1]}', "x" * 300_000):
        (folder / FILE_NAME).write_text(text)
        outputs, _ = shown(parts)
        assert outputs["export.state"] == ""
        assert outputs["export.download"] != gr.skip()
