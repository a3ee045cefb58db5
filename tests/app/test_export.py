"""What Compare hands out: the sheet, the report, and nothing beside the folders meant for it."""

import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import _StaticFiles
from PIL import Image

from app.tabs.compare_export import make_report, make_sheet
from core.runs.folder import RunFolder
from tests.support.fabricated import finish, make_experiment, write_sample, write_steps

CAT = ["experiments/orange-cat"]


def test_the_sheet_holds_every_training_at_the_last_step_that_all_have(parts, workspace):
    experiment = make_experiment(workspace, seeds=2)
    write_sample(experiment.arms[0].run, 40)
    message, button = make_sheet(parts, CAT)
    path = workspace.root / "reports" / "orange-cat-sheet.png"
    assert f"4 trainings at step 30, in {path}" in message
    assert button.value["path"] == str(path)
    with Image.open(path) as sheet:
        assert sheet.height > 4 * 128
        pixels = {colour: count for count, colour in sheet.convert("RGB").getcolors(1 << 20)}
    assert pixels[255, 165, 0] == 2 * 2 * 128**2  # two seeds, two prompts, orange at step 30
    assert pixels.get((128, 128, 128), 0) < 128**2  # and none of step 0, which is grey


def test_a_sheet_of_single_runs_is_made_too(parts, workspace, demo):
    for name in ("One", "Two"):
        run = RunFolder.create(workspace.runs_dir, name, demo)
        write_steps(run, 2)
        write_sample(run, 2)
        finish(run)
    make_sheet(parts, ["runs/one", "runs/two"])
    assert (workspace.root / "reports" / "runs-sheet.png").is_file()


def test_without_pictures_that_all_have_the_sheet_says_so(parts, workspace, demo):
    RunFolder.create(workspace.runs_dir, "One", demo)
    message, button = make_sheet(parts, ["runs/one"])
    assert "No sheet" in message
    assert button == gr.skip()


def test_the_report_is_a_folder_and_a_zip_of_it(parts, workspace, experiment, monkeypatch):
    def written(what, out):
        out.mkdir(parents=True)
        (out / "index.html").write_text(what.name)
        return out

    monkeypatch.setattr("app.tabs.compare_export.export_report", written)
    message, button = make_report(parts, CAT)
    folder = workspace.root / "reports" / "orange-cat"
    assert str(folder) in message
    assert button.value["path"] == str(folder.with_suffix(".zip"))
    with zipfile.ZipFile(folder.with_suffix(".zip")) as packed:
        assert packed.read("orange-cat/index.html") == b"orange-cat"


def test_a_folder_that_is_no_report_is_left_alone_and_said(parts, workspace, experiment):
    own = workspace.root / "reports" / "orange-cat" / "thesis.txt"
    own.parent.mkdir(parents=True)
    own.write_text("years of work")
    message, button = make_report(parts, CAT)
    assert "Problem" in message
    assert button == gr.skip()
    assert own.read_text() == "years of work"


@pytest.mark.parametrize("picked", [[], None, ["runs/none"]])
def test_a_report_needs_an_experiment(parts, picked):
    message, button = make_report(parts, picked)
    assert "choose one experiment" in message
    assert button == gr.skip()
    assert "No sheet" in make_sheet(parts, picked)[0]


def test_exports_are_served_and_of_a_run_its_samples_alone(parts, workspace, experiment):
    make_sheet(parts, CAT)
    served = [Path(path) for path in _StaticFiles.all_paths if Path(path).is_relative_to(workspace.root)]
    assert workspace.root / "reports" in served
    assert {path.name for path in served} <= {"samples", "reports"}
