"""Monitor and Compare over fabricated trainings, without a browser."""

import re
from pathlib import Path
from urllib.parse import unquote

from gradio.data_classes import _StaticFiles

from app.tabs.compare import choose
from core.runs.folder import RunFolder
from tests.support.fabricated import changed, finish, look_at, write_probe, write_sample, write_steps


def test_monitor_shows_both_arms_their_plots_samples_and_logs(parts, experiment):
    outputs, _ = look_at(parts, "monitor", selection="experiments/orange-cat")
    for slot in ("monitor.status", "monitor.log", "monitor.drift_m1", "monitor.drift_v", "monitor.loss"):
        assert "teacher-forced" in outputs[slot], slot
        assert "rollout" in outputs[slot], slot
    assert "hello from rollout" in outputs["monitor.log"]
    assert outputs["monitor.samples"].count("<img") == 8


def test_monitor_follows_new_steps_and_samples_only_where_they_show(parts, workbench, demo):
    run = RunFolder.create(workbench.workspace.runs_dir, "Grows", demo)
    write_steps(run, 3)
    finish(run, step=3)
    _, seen = look_at(parts, "monitor", selection="runs/grows")
    write_sample(run, 3)
    outputs, seen = look_at(parts, "monitor", seen, selection="runs/grows")
    assert set(outputs) == {"monitor.samples"}
    write_steps(run, 1, first=4)
    outputs, _ = look_at(parts, "monitor", seen, selection="runs/grows")
    assert "monitor.loss" in outputs
    assert "monitor.drift_m1" not in outputs


def test_a_failed_run_shows_its_cause_and_what_to_do(parts, experiment):
    finish(experiment.arms[1].run, "failed", 12, error="the loss is <not> finite", hint="lower learning_rate")
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.status"]
    assert "the loss is &lt;not&gt; finite" in html
    assert "lower learning_rate" in html
    assert 'role="alert"' in html


def test_every_sample_has_an_alternative_text_with_prompt_arm_step_and_seed(parts, experiment, demo):
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.samples"]
    texts = re.findall(r'<img [^>]*alt="([^"]+)"', html)
    assert f"{demo.validation.validation_prompts[0]}; rollout, step 30, seed 42" in texts
    assert len(texts) == len(set(texts)) == 8


def test_only_samples_folders_are_served(parts, experiment, workbench):
    html = look_at(parts, "compare", **{"compare.pick": ["experiments/orange-cat"]})[0]["compare.grid"]
    served = [Path(path) for path in _StaticFiles.all_paths if Path(path).is_relative_to(workbench.workspace.root)]
    assert {path.name for path in served} == {"samples"}
    for url in re.findall(r'<img src="([^"]+)"', html):
        assert any(Path(unquote(url).removeprefix("gradio_api/file=")).is_relative_to(path) for path in served)


def test_compare_shows_pictures_numbers_curves_and_the_one_difference(parts, experiment):
    outputs, _ = look_at(parts, "compare", **{"compare.pick": ["experiments/orange-cat"]})
    assert "one training seed, no verdict" in outputs["compare.verdict"]
    assert all(path.endswith("step-000030/p00-s42.png") for path in outputs["compare.slider"])
    assert "V at step 30" in outputs["compare.numbers"]
    assert "-0.1" in outputs["compare.numbers"]
    assert outputs["compare.curves"].count("<svg") == 6
    assert outputs["compare.difference"].count("<tr>") == 2
    assert "Longest rollout K" in outputs["compare.difference"]


def test_compare_reads_drift_at_the_last_step_that_all_arms_have(parts, experiment):
    write_probe(experiment.arms[0].run, 60, -0.9)
    html = look_at(parts, "compare", **{"compare.pick": ["experiments/orange-cat"]})[0]["compare.numbers"]
    assert "V at step 30" in html
    assert "-0.9" not in html


def test_compare_takes_runs_of_several_seeds_and_still_gives_no_verdict(parts, workbench, workspace, demo):
    for seed in (1, 2):
        run = RunFolder.create(workspace.runs_dir, f"Seed {seed}", changed(demo, seed=seed))
        write_steps(run, 2)
        finish(run)
    html = look_at(parts, "compare", **{"compare.pick": ["runs/seed-1", "runs/seed-2"]})[0]["compare.verdict"]
    assert "Exploratory: 2 training seeds, no verdict" in html


def test_what_is_compared_follows_the_page_once_and_then_the_choice():
    names = ["experiments/new", "experiments/old", "runs/a"]
    assert choose(names, "", [], None) == ["experiments/new"]
    assert choose(names, "experiments/old", [], None) == ["experiments/old"]
    assert choose(names, "experiments/old", ["runs/a"], "experiments/old") == ["runs/a"]
    assert choose(names, "runs/a", ["experiments/old"], "experiments/old") == ["runs/a"]
    assert choose(names, "", ["gone"], "") == []
