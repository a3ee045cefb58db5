"""The sweep of the Launch tab: the same arms, refusals and command as `python -m core sweep`."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.design import Design
from app.forecast import arms_table, total_text
from app.paths import AllowedPaths
from app.preflight import preflight
from app.sweeping import EXAMPLE, Sweep, problems_of
from app.tabs.launch import sweep_note
from core.__main__ import app as program
from core.config.foreign.kept import Kept, read_kept
from core.config.paths import PATH_OPTIONS
from core.errors import ConfigError
from core.rollout.cost import Calibration
from core.runs.experiment import list_experiments
from core.runs.measurement import Facts, Measurement, keep_measurement

K = "scheduled_sampling_max_step_offset"
PATHS = AllowedPaths(Path("workspace"))
FACTS = Facts("v_prediction", 999, tuple(50.0 * number for number in range(1, 20)), 13.7, 3.43, 661.7)


def asked(over: str = EXAMPLE, minutes=None, fit=False, seeds=1, paths=PATHS) -> Design:
    return Design.read(paths, "sweep", ["placebo"], seeds, "v_end", over, minutes, fit)


@pytest.fixture
def measured(workspace, demo):
    found = Measurement(FACTS, Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005), "cpu")
    keep_measurement(workspace.root, demo, found)


def test_the_fields_are_read_and_none_of_them_is_trusted():
    design = asked(f" {K}=1,3 \n\nrank=4,8\n", 30, True, 2)
    assert design.sweep == Sweep((f"{K}=1,3", "rank=4,8"), 30, True)
    assert (design.mode, design.arms, design.trainings) == ("sweep", (), 10)
    bad = asked(f"{K}\nrank=", "soon")
    assert [problem.option for problem in bad.sweep.problems] == ["--max-minutes", "--over", "--over"]
    assert Design.read(PATHS, "ab", [], 1, "v_end", EXAMPLE, 5, True).sweep is None


@pytest.mark.parametrize("option", sorted(PATH_OPTIONS))
def test_values_reach_no_folder_that_the_form_may_not_name(option, workbench, workspace, demo, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret")
    (secret / "picture.png").write_bytes(b"seen")
    design = asked(f"{option}={secret},{workspace.root}\n{K}=3", paths=workbench.paths)
    assert [problem.option for problem in design.sweep.problems] == [option]
    assert f"{option} must lie in the workspace" in sweep_note(workbench, demo, design)
    assert [check.title for check in preflight(demo, (), workspace, design) if check.level == "fail"] == ["Sweep"]
    with pytest.raises(ConfigError, match="must lie in the workspace"):
        workbench.make(demo, "sweep", "stolen", sweep=design.sweep)
    assert asked(f"{option}={workspace.root}", paths=workbench.paths).sweep.problems == ()


def test_what_is_wrong_is_shown_at_the_fields_and_stops_the_start(workbench, workspace, demo):
    design = asked(f"{K}=1,-5\nrank=0,4")
    note = sweep_note(workbench, demo, design)
    failed = [check for check in preflight(demo, (), workspace, design) if check.level == "fail"]
    assert [check.title for check in failed] == ["Sweep", "Sweep"]
    assert all(f"{name} must be" in note for name in (K, "rank"))
    assert sweep_note(workbench, demo, asked("")) == ""
    with pytest.raises(ConfigError):
        workbench.make(demo, "sweep", "bad", sweep=design.sweep)
    assert list_experiments(workspace) == []


def test_the_table_has_each_arm_with_its_minutes_and_whether_the_cap_lets_it_through(workbench, demo, measured):
    assert "7 trainings, one after another, about" in total_text(workbench, demo, asked())
    rows = arms_table(workbench, demo, asked()).split("<tr>")[2:]
    assert len(rows) == 7
    assert all("about" in row and "yes" in row for row in rows)
    costs = [each.seconds for each in asked().sweep.arms(workbench.workspace.root, demo)]
    cap = (costs[0] + costs[1] + 1) / 60
    fitted = arms_table(workbench, demo, asked(minutes=cap, fit=True)).split("<tr>")[2:]
    assert [">yes<" in row for row in fitted].count(True) == 2
    assert "2 trainings" in total_text(workbench, demo, asked(minutes=cap, fit=True))


def test_more_than_the_cap_is_refused_with_what_would_fit(workspace, demo, measured):
    (problem,) = problems_of(asked(minutes=0.01).sweep, workspace.root, demo, 1)
    assert problem.message.startswith("--max-minutes must be at least")
    unknown = asked("rank=3,4", 30).sweep
    (problem,) = problems_of(unknown, workspace.root, demo, 1)
    assert "were not measured here" in problem.message


def test_the_typed_command_makes_the_same_sweep(workbench, workspace, demo, measured, monkeypatch):
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: None)
    monkeypatch.setattr("core.cli.sweeping.drive", lambda experiment: None)
    design = asked(f"{K}=1,3\nrank=8", 999, True, 2)
    words = shlex.split(workbench.command(demo, "demo", design))
    assert words[:5] == ["python", "-m", "core", "sweep", "demo"]
    for each in design.sweep.arms(workspace.root, demo):
        keep_measurement(
            workspace.root, each.arm.config,
            Measurement(FACTS, Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005), "cpu"),
        )  # fmt: skip
    done = CliRunner().invoke(program, words[3:])
    assert done.exit_code == 0, done.output
    workbench.start(
        demo, "sweep", workbench.default_name(demo, "sweep", "demo"), seeds=2, primary=design.primary, preset="demo",
        sweep=design.sweep,
    )  # fmt: skip
    page, typed = list_experiments(workspace)
    assert [(arm.run.name, arm.seed, arm.run.config()) for arm in page.arms] == [
        (arm.run.name, arm.seed, arm.run.config()) for arm in typed.arms
    ]
    assert len(page.arms) == 6


def test_what_was_kept_of_an_import_is_frozen_into_every_arm(workbench, workspace, demo):
    kept = Kept("kohya", {"another_key": 1})
    workbench.make(demo, "sweep", "kept", sweep=asked(f"{K}=1,3").sweep, imported=kept.section)
    (made,) = list_experiments(workspace)
    assert [read_kept(arm.run.config_path) for arm in made.arms] == [kept] * 3
