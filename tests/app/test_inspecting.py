"""Inspections from the page: started, watched, stopped and refused, by processes that only pretend to inspect."""

import os
import sys
import time
from pathlib import Path

import pytest

from app.form import values_of
from app.inspection import find, keep_upload, listed, usual_seconds
from app.tabs import inspect
from core.config.spec import option_specs
from core.errors import DataError
from core.rollout.cost import Calibration
from core.runs import inspections
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.status import derive_state
from tests.support.inspections import inspected, look, write_safetensors


def pretend(monkeypatch, code):
    """Starts processes that run some code in place of the command."""
    monkeypatch.setattr(
        "app.inspection.start_inspection",
        lambda *given: inspections.start_inspection(*given, command=[sys.executable, "-c", code]),
    )


def waits_for(flag):
    return f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)"


def ended(folder, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (state := derive_state(folder)).final:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return state


def test_an_inspection_is_started_watched_and_stopped_from_the_page(parts, workspace, demo, monkeypatch):
    pretend(monkeypatch, waits_for(workspace.root / "inspections" / "base-embedded" / "stop"))
    key, said = inspect.start(parts, "base", None, None, values_of(demo))
    assert (key, said) == ("inspections/base-embedded", "")
    folder = find(workspace, key)
    assert folder.config() == demo
    outputs, _ = look(parts, folder)
    assert "Inspecting base" in outputs["inspect.state"]
    assert "<progress" in outputs["inspect.state"]
    assert outputs["inspect.stop"].visible
    assert not outputs["inspect.start"].interactive
    assert "in progress" in inspect.start(parts, "base", None, None, values_of(demo))[1]
    assert inspect.stop(parts, key) == ""
    assert ended(folder).label == "stopped"
    outputs, _ = look(parts, folder)
    assert "stopped" in outputs["inspect.state"]
    assert outputs["inspect.start"].interactive


def test_an_inspection_that_fails_tells_why(parts, workspace, demo, monkeypatch):
    pretend(monkeypatch, "print('error: no room on the disk'); raise SystemExit(1)")
    key, _ = inspect.start(parts, "base", None, None, values_of(demo))
    ended(find(workspace, key))
    html = look(parts, find(workspace, key))[0]["inspect.state"]
    assert 'role="alert"' in html
    assert "no room on the disk" in html


def test_nothing_is_inspected_beside_a_training(parts, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Busy", demo)
    record_launch(workspace.root, 'run "busy"', run.path, Identity.of(os.getppid()))
    button = look(parts)[0]["inspect.start"]
    assert (button.value, button.interactive) == ('Not beside run "busy"', False)
    assert "run &quot;busy&quot; is in progress" in inspect.start(parts, "base", None, None, values_of(demo))[1]
    assert listed(workspace) == []


@pytest.mark.parametrize(
    ("what", "run", "path", "told"),
    [
        ("run", None, None, "train one first"),
        ("run", "../../etc", None, "run must be a name"),
        ("run", "gone", None, "run must be one of those"),
        ("file", None, " ", "type its path or upload it"),
        ("file", None, "/etc/hostname", "--allowed-path FOLDER"),
        ("file", None, "{here}/my cat", "be a .safetensors file"),
        ("file", None, "{here}/none.safetensors", "check the path"),
        ("file", None, "{here}/model.ckpt", "a pickle can run code"),
    ],
)
def test_what_cannot_be_inspected_is_refused_with_what_to_do(parts, workspace, demo, tmp_path, what, run, path, told):
    typed = None if path is None else path.format(here=tmp_path)
    assert told in inspect.start(parts, what, run, typed, values_of(demo))[1]
    assert listed(workspace) == []


def test_settings_with_problems_are_told_for_a_base_model_and_do_not_matter_for_a_training(parts, demo):
    raw = values_of(demo)
    raw[list(option_specs()).index("rank")] = 0
    assert "rank must" in inspect.start(parts, "base", None, None, raw)[1]
    assert "train one first" in inspect.start(parts, "run", None, None, raw)[1]


def test_an_upload_is_copied_under_a_safe_name_and_its_path_is_filled_in(parts, workspace, tmp_path):
    source = write_safetensors(tmp_path / "My Cat (1).safetensors")
    path, said = inspect.upload(parts, str(source))
    assert Path(path) == workspace.root / "uploads" / "my-cat-1.safetensors"
    assert "Uploaded" in said
    assert keep_upload(workspace, source).name == "my-cat-1-2.safetensors"


@pytest.mark.parametrize("name", ["my.ckpt", "my.pt", "my.safetensors"])
def test_an_upload_of_another_kind_is_refused_and_not_kept(parts, workspace, tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 a pickle in a zip")
    with pytest.raises(DataError, match="pickle"):
        keep_upload(workspace, tmp_path / name)
    assert "pickle" in inspect.upload(parts, str(tmp_path / name))[1]
    assert not (workspace.root / "uploads").exists()


def test_an_upload_that_is_too_large_is_refused(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("app.inspection.UPLOAD_LIMIT", 10)
    with pytest.raises(DataError, match="type its path"):
        keep_upload(workspace, write_safetensors(tmp_path / "big.safetensors"))


def test_keys_from_the_browser_are_not_trusted(workspace, experiment):
    inspected(workspace)
    for key in ("../../etc", "experiments/orange-cat", "/etc", None, 7, "inspections"):
        assert find(workspace, key) is None, key


def test_how_long_it_takes_is_known_from_the_last_one_or_a_measurement(parts, workspace, demo):
    assert usual_seconds(workspace, "file") is None
    times = Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005)
    grid = tuple(50.0 * number for number in range(1, 21))
    keep_measurement(workspace.root, demo, Measurement(Facts("v_prediction", 999, grid), times, "cpu"))
    forecast = usual_seconds(workspace, "base")
    assert 88 * 0.34 < forecast < 2 * 88 * 0.34
    assert usual_seconds(workspace, "file") > 1.5 * forecast
    inspected(workspace)
    assert usual_seconds(workspace, "run") == pytest.approx(95, abs=1)
    assert look(parts)[0]["inspect.start"].value == "Inspect (about 1 min 35 s)"


def test_the_forecast_follows_what_is_really_measured():
    from app.inspection import BATCH, FORWARDS_EACH, MOST_TARGETS, PAIRS
    from core.evaluation import subject
    from core.evaluation.full import full_forwards
    from core.samples.generate import Recipe

    assert subject.PAIRS == PAIRS
    assert Recipe(20, 1.0, 8).batch == BATCH
    for points in (10, 20, 28, 50):
        assert FORWARDS_EACH * min(MOST_TARGETS, points // 2) + points == pytest.approx(full_forwards(points), rel=0.15)
