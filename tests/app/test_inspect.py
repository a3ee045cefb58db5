"""Inspect without a browser: over fabricated inspections, and processes that only pretend to inspect."""

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from gradio.data_classes import _StaticFiles

from app.form import values_of
from app.inspected import FREE_PLOTS, SHORT_PLOTS
from app.inspection import find, inspectable, keep_upload, key_of, listed, usual_seconds
from app.tabs import inspect
from core.config.spec import option_specs
from core.errors import DataError
from core.plots import PLOTS
from core.rollout.cost import Calibration
from core.runs import inspections
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.metrics import FREE, SAMPLES, SHORT
from core.runs.status import derive_state
from tests.support.fabricated import look_at, make_experiment, write_probe
from tests.support.inspections import ADAPTER, AUDIT, BASE, inspected, write_safetensors

RESULTS = [f"inspect.{slot}" for slot in ("summary", "audit", "training", "short", "free", "samples", "film")]


def look(parts, folder=None, **more):
    key = "" if folder is None else key_of(parts.workbench.workspace, folder)
    return look_at(parts, "inspect", **{"inspect.kind": "run", "inspect.key": key, **more})


@pytest.fixture
def trained(experiment):
    """An arm that has a LoRA."""
    run = experiment.arms[1].run
    run.adapter_dir.mkdir()
    write_safetensors(run.adapter_dir / "pytorch_lora_weights.safetensors")
    return run


def test_before_anything_the_tab_says_what_it_is_good_for(parts):
    outputs, _ = look(parts)
    assert "before any training" in outputs["inspect.summary"]
    assert not outputs["inspect.films"].visible
    assert outputs["inspect.start"].interactive


def test_trainings_with_a_lora_are_offered_and_no_others(parts, workspace, trained):
    assert inspectable(workspace) == [("Orange cat: rollout", "orange-cat/rollout")]
    assert look(parts)[0]["inspect.run"].value == "orange-cat/rollout"


def test_a_finished_inspection_shows_audit_metrics_strips_and_plots(parts, workspace):
    outputs, seen = look(parts, inspected(workspace))
    assert "LoRA file my-cat" in outputs["inspect.summary"]
    assert "noise of seed 42" in outputs["inspect.summary"]
    for text in ("kohya", "8 (3×), 16 (1×)", "12.5", "text.hada_w1", "unet.mid_block.conv 5.25", "change nothing"):
        assert text in outputs["inspect.audit"], text
    assert outputs["inspect.audit"].count("&lt;b&gt;a model") == 1
    assert outputs["inspect.short"].count("<svg") == len(SHORT_PLOTS)
    assert outputs["inspect.free"].count("<svg") == len(FREE_PLOTS)
    assert outputs["inspect.film"].count("<img") == 12
    assert outputs["inspect.films"].visible
    assert look_at(parts, "inspect", seen, **{
        "inspect.kind": "run", "inspect.key": outputs["inspect.key"],
    }) == ({}, seen)  # fmt: skip


def test_the_newest_inspection_is_shown_when_none_is_chosen(parts, workspace):
    inspected(workspace)
    time.sleep(0.01)
    newest = inspected(workspace)
    outputs, _ = look(parts)
    assert outputs["inspect.shown"].value == outputs["inspect.key"] == key_of(workspace, newest)
    assert "LoRA file my-cat" in outputs["inspect.summary"]


def test_short_and_free_running_paths_never_share_a_part(parts, workspace):
    outputs, _ = look(parts, inspected(workspace))
    short, free = outputs["inspect.short"], outputs["inspect.free"]
    assert {PLOTS[name].title for name in SHORT_PLOTS}.isdisjoint({PLOTS[name].title for name in FREE_PLOTS})
    for title in (PLOTS[name].title for name in FREE_PLOTS):
        assert title in free
        assert title not in short
    assert "0.111" in short
    assert "0.111" not in free


def test_g0_and_g1_never_stand_without_g2_and_v():
    labels = [metric.label for metric in SHORT]
    together = {"Gap to the true state G0", "Gap to the start G1", "Recovery gap G2", "Variance V of the states"}
    assert together <= set(labels)
    assert "drift_recovery" in SHORT_PLOTS


def test_every_number_has_a_unit_and_a_help_line():
    for metric in (*SHORT, *FREE, *SAMPLES):
        assert metric.unit, metric.label
        assert metric.help.endswith("."), metric.label
        if metric.label != "Border-colour error":
            assert metric.value(BASE) == metric.value(BASE), metric.label


def test_the_base_model_and_the_lora_have_a_column_each(parts, workspace):
    html = look(parts, inspected(workspace))[0]["inspect.short"]
    row = html.split("Paired drift M1<br>")[1].split("</tr>")[0]
    assert re.findall(r"<td>([\d.]+)</td>", row) == [f"{BASE.m1_mean:g}", f"{ADAPTER.m1_mean:g}"]


def test_film_strips_tell_timestep_path_and_distance_for_people_who_do_not_see_them(parts, workspace):
    html = look(parts, inspected(workspace), **{"inspect.number": "1"})[0]["inspect.film"]
    texts = re.findall(r'<img [^>]*alt="([^"]+)"', html)
    assert "With the LoRA, pair 2, own path, estimate at timestep 50" in texts
    assert len(texts) == len(set(texts)) == 12
    assert html.count('tabindex="0" role="region"') == 2
    assert re.findall(r'<th scope="col">(\d+)</th>', html)[:3] == ["999", "500", "50"]
    own = html.split("Distance<small>")[1].split("</tr>")[0]
    assert re.findall(r"<td>([\d.]+)", own) == ["0", "1.2", "1.5"]
    assert re.findall(r"width:(\d+)%", own) == ["0", "83", "100"]


def test_another_pair_shows_its_own_pictures(parts, workspace):
    key = key_of(workspace, inspected(workspace))
    first, second = (inspect.show_film(parts, key, pair) for pair in ("0", "1"))
    assert "adapter-own-1-0.png" in second
    assert "adapter-own-1-0.png" not in first
    assert "No film strips" in inspect.show_film(parts, "runs/gone/inspection", "0")
    assert "No film strips" in inspect.show_film(parts, key, "None")


def test_only_the_pictures_of_an_inspection_are_served(parts, workspace):
    folder = inspected(workspace)
    html = look(parts, folder)[0]["inspect.film"]
    served = [Path(path) for path in _StaticFiles.all_paths if Path(path).is_relative_to(folder.path)]
    assert served == [folder.path / "pictures"]
    for url in re.findall(r'<img src="([^"]+)"', html):
        path = Path(unquote(url).removeprefix("gradio_api/file="))
        assert path.parent == folder.path / "pictures"
        assert path.is_file()


def test_a_lora_that_does_not_fit_says_which_keys_and_shows_no_numbers(parts, workspace):
    folder = inspected(workspace, problems=("unet.a.lora_A must belong to a module, got one it lacks",))
    outputs, _ = look(parts, folder)
    assert "unet.a.lora_A must belong to a module" in outputs["inspect.audit"]
    assert "Nothing was measured" in outputs["inspect.audit"]
    assert AUDIT.format in outputs["inspect.audit"]
    for slot in ("short", "free", "samples", "film"):
        assert outputs[f"inspect.{slot}"] == ""
    assert not outputs["inspect.films"].visible


def test_a_torn_inspection_is_said(parts, workspace):
    folder = inspected(workspace)
    (folder.path / "inspection.json").write_text('{"what": "fi')
    assert "inspect again" in look(parts, folder)[0]["inspect.summary"]


def test_a_runs_own_probes_give_a_map_over_its_steps(parts, workspace, trained):
    outputs, _ = look(parts, inspected(workspace, trained))
    assert PLOTS["drift_heat"].title in outputs["inspect.training"]
    assert "Training orange-cat/rollout" in outputs["inspect.summary"]
    assert look(parts, inspected(workspace))[0]["inspect.training"] == ""


def test_a_lora_that_shrinks_its_samples_is_an_alarm(parts, workspace, monkeypatch):
    html = look(parts, inspected(workspace))[0]["inspect.summary"]
    assert "alarm" not in html
    monkeypatch.setattr("app.inspected.records_of", lambda found: {"Base model": BASE, "With the LoRA": shrunk()})
    html = look(parts, inspected(workspace))[0]["inspect.summary"]
    assert "Drift alarm" in html
    assert "below the base model: its samples shrink" in html


def shrunk():
    return replace(ADAPTER, chain=replace(ADAPTER.chain, v=-0.4))


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


def test_the_tab_shows_the_inputs_of_what_is_chosen():
    for what, shown in (("run", [True, False, False]), ("base", [False] * 3), ("file", [False, True, True])):
        assert [update.visible for update in inspect.show_kind(what)[:3]] == shown


def test_a_probe_that_comes_later_is_shown_in_the_runs_map(parts, workspace, trained):
    folder = inspected(workspace, trained)
    before, seen = look(parts, folder)
    write_probe(trained, 60, -0.2)
    after, _ = look_at(parts, "inspect", seen, **{"inspect.kind": "run", "inspect.key": key_of(workspace, folder)})
    assert before["inspect.training"] != after["inspect.training"]


def test_an_experiment_of_another_name_does_not_hide_inspections(workspace, trained):
    folder = inspected(workspace, trained)
    make_experiment(workspace, "Another")
    assert [key for _, key in listed(workspace)] == [key_of(workspace, folder)]
