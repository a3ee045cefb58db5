"""How a comparison is laid out before it starts: arms, seeds, declared score, cost, and the same as a typed command."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.design import MOST_SEEDS, OTHER_ARMS, TWO_ARMS, Design, allowed
from app.forecast import arms_table, forecast_cards, total_text
from app.paths import AllowedPaths
from app.preflight import preflight
from app.space import adapter_bytes, run_bytes
from core.__main__ import app as program
from core.config.presets import load_preset
from core.rollout.cost import Calibration
from core.runs.arms import KNOWN_ARMS, arm_of
from core.runs.cost import forecast_of
from core.runs.experiment import list_experiments
from core.runs.fits import size_text
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.scores import SCORES
from tests.support.fabricated import changed

PATHS = AllowedPaths(Path("workspace"))
FACTS = Facts("v_prediction", 999, tuple(50.0 * number for number in range(1, 20)), 13.7, 3.43, 661.7)
TIMES = Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005)


def checks(config, workspace, design):
    return preflight(config, (), workspace, design)


def test_every_known_arm_beside_the_two_can_be_chosen_and_nothing_else_is_taken():
    assert {*OTHER_ARMS, "teacher-forced", "rollout"} == set(KNOWN_ARMS)
    design = Design.read(PATHS, "ab", ["too-long", "replicate", "evil", "rollout"], 3, "m1")
    assert design == Design("ab", ("replicate", "too-long"), 3, "m1")
    assert design.all_arms == ("teacher-forced", "rollout", "replicate", "too-long")
    assert design.trainings == 12


def test_a_single_run_has_no_arms_and_no_seeds_whatever_the_hidden_inputs_hold():
    assert Design.read(PATHS, "single", ["placebo"], 99, "gone") == Design("single")
    assert Design("single").trainings == 1


@pytest.mark.parametrize("seeds", [None, 0, 2.5, MOST_SEEDS + 1, -1, "6", True, float("nan")])
def test_a_number_of_seeds_that_cannot_be_is_told(seeds, workspace, demo):
    design = Design.read(PATHS, "ab", [], seeds, "v_end")
    assert [problem.option for problem in design.problems] == ["seeds"]
    assert [check.text for check in checks(demo, workspace, design) if check.level == "fail"] == [
        design.problems[0].message
    ]


def test_a_score_that_is_none_is_told():
    assert "primary must be one of" in Design.read(PATHS, "ab", [], 1, "fid").problems[0].message


@pytest.mark.parametrize(("seeds", "word"), [(1, "illustration"), (2, "exploratory"), (5, "exploratory")])
def test_few_seeds_never_promise_a_verdict(seeds, word):
    assert word in allowed(seeds)
    assert "needs 6 or more" in allowed(seeds)


def test_six_seeds_allow_a_verdict_for_their_smallest_p_is_below_5_per_cent():
    assert "allow a verdict" in allowed(6)
    assert "0.031" in allowed(6)
    assert 2 / 2**5 > 0.05 >= 2 / 2**6


def test_an_arm_that_cannot_be_is_named_with_its_reason(workspace, demo):
    visited = changed(demo, scheduled_sampling_mode="visited")
    found = checks(visited, workspace, Design("ab", ("placebo", "replicate")))
    assert [check.title for check in found if check.level == "fail"] == ["Arm placebo"]
    assert "take mode fresh" in next(check.text for check in found if check.title == "Arm placebo")
    assert not [check for check in checks(visited, workspace, Design("ab", ("replicate",))) if check.level == "fail"]


def test_equal_compute_without_a_rollout_is_refused(workspace, demo):
    off = changed(demo, scheduled_sampling_probability=0.0, scheduled_sampling_ramp_steps=0)
    failed = [check for check in checks(off, workspace, Design("ab", ("equal-compute",))) if check.level == "fail"]
    assert "different trainings" in failed[0].text


def test_all_arms_and_seeds_are_counted_and_said(workspace, demo):
    design = Design("ab", OTHER_ARMS, 6)
    arms = next(check for check in checks(demo, workspace, design) if check.title == "Arms")
    assert arms.level == "pass"
    assert "7 arms" in arms.text
    assert "allow a verdict" in arms.text


def test_the_disk_must_hold_all_trainings(workspace, demo, monkeypatch):
    each = run_bytes(demo)
    room = type("Usage", (), {"free": int(600 * 2**20 + 20 * each)})
    monkeypatch.setattr("app.preflight.shutil.disk_usage", lambda path: room)

    def disk(design):
        return next(check for check in checks(demo, workspace, design) if check.title == "Disk")

    assert disk(Design("ab", (), 6)).level == "pass"
    assert size_text(12 * each) in disk(Design("ab", (), 6)).text
    full = disk(Design("ab", OTHER_ARMS, 20))
    assert full.level == "fail"
    assert "free some space" in full.text


def test_the_disk_of_a_training_without_checkpoints_on_the_way_is_forecast_with_its_last_one(demo):
    every = demo.training.max_train_steps
    assert run_bytes(changed(demo, checkpointing_steps=0)) == run_bytes(changed(demo, checkpointing_steps=every))


def test_the_size_of_an_adapter_is_what_its_file_takes(demo):
    assert adapter_bytes(demo) == pytest.approx(2_483_520, rel=0.02)
    assert adapter_bytes(changed(demo, rank=16)) == 2 * adapter_bytes(demo)
    assert run_bytes(load_preset("sdxl").config) is None


def test_minutes_count_every_arm_and_every_seed(workbench, workspace, demo):
    assert "known after a measurement" in total_text(workbench, demo, TWO_ARMS)
    found = Measurement(FACTS, TIMES, "cpu")
    keep_measurement(workspace.root, demo, found)
    configs = [arm_of(name, demo).config for name in ("teacher-forced", "rollout", "placebo")]
    seconds = [forecast_of(own, found).seconds_per_step * own.training.max_train_steps for own in configs]
    minutes, rest = divmod(round(3 * sum(seconds)), 60)
    text = total_text(workbench, demo, Design("ab", ("placebo",), 3))
    assert "3 arms × 3 training seeds: 9 trainings" in text
    assert f"about {minutes} min {rest} s in all" in text
    assert "1 training, about" in total_text(workbench, demo, Design("single"))


def test_controls_cost_a_plain_step_and_equal_compute_more_of_them(workbench, demo):
    html = forecast_cards(workbench, demo, Design("ab", OTHER_ARMS))
    cards = dict(part.split("</dt>", 1) for part in html.split("<dt>")[1:])
    steps = demo.training.max_train_steps
    for name in ("teacher-forced", "input-perturbation", "placebo", "replicate"):
        assert f"{steps} × 1.00 ×" in cards[name], name
        assert "forwards an item" not in cards[name]
    assert "forwards an item" in cards["rollout"]
    longer = arm_of("equal-compute", demo).config.training.max_train_steps
    assert longer > steps
    assert f"{longer} × 1.00 ×" in cards["equal-compute"]


def test_the_table_shows_what_each_arm_changes(workbench, demo):
    html = arms_table(workbench, demo, Design("ab", ("replicate", "input-perturbation")))
    head = html.split("<thead>")[1].split("</thead>")[0]
    assert [name in head for name in ("teacher-forced", "rollout", "replicate", "input-perturbation")] == [True] * 4
    assert str(demo.training.seed + 1000) in html
    assert "Input perturbation" in html


def test_the_typed_command_makes_the_same_experiment(workbench, workspace, demo, monkeypatch):
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: None)
    monkeypatch.setattr("core.cli.training.drive", lambda experiment: None)
    config = changed(demo, rank=5, validation_prompts=("it's a cat", "a dog"), snr_gamma=5.0)
    design = Design("ab", ("placebo", "too-long"), 2, "m1")
    words = shlex.split(workbench.command(config, "demo", design, "My cat"))
    assert words[:5] == ["python", "-m", "core", "ab", "demo"]
    done = CliRunner().invoke(program, words[3:])
    assert done.exit_code == 0, done.output
    workbench.start(config, "ab", "My cat", arms=design.arms, seeds=design.seeds, primary=design.primary, preset="demo")
    page, typed = list_experiments(workspace)
    assert (page.title, page.primary) == (typed.title, typed.primary) == ("My cat", "m1")
    assert [(arm.run.name, arm.seed, arm.run.config()) for arm in page.arms] == [
        (arm.run.name, arm.seed, arm.run.config()) for arm in typed.arms
    ]
    assert len(typed.arms) == 8


def test_the_typed_command_of_a_single_run_names_no_arms(workbench, demo):
    line = workbench.command(demo, "demo", Design("single"))
    assert line.startswith("python -m core train demo --workspace ")
    assert "--primary" not in line


def test_a_command_names_the_workspace_only_where_it_is_another_one(workbench, workspace, demo, monkeypatch):
    assert f"--workspace {workspace.root}" in workbench.command(demo, "demo", TWO_ARMS)
    monkeypatch.setenv("ROLLOUT_WORKSPACE", str(workspace.root))
    assert workbench.command(demo, "demo", TWO_ARMS) == "python -m core ab demo --seeds 1 --primary v_end"


def test_every_declared_score_has_a_help_line_of_its_own(demo):
    assert len({score.help for score in SCORES.values()}) == len(SCORES)
