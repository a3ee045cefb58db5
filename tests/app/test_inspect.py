"""Inspect without a browser: what it shows of fabricated inspections."""

import re
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from gradio.data_classes import _StaticFiles

from app.inspected import FREE_PLOTS, SHORT_PLOTS
from app.inspection import inspectable, key_of, listed
from app.tabs import inspect
from core.plots import PLOTS
from core.runs.metrics import FREE, SAMPLES, SHORT
from tests.support.fabricated import look_at, make_experiment, write_probe
from tests.support.inspections import ADAPTER, AUDIT, BASE, inspected, look


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
