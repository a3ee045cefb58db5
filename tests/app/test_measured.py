"""Cost and pictures as measured on this machine: before the start, beside the fields, and on a run's page."""

import os
import sys
import time
from dataclasses import fields
from types import SimpleNamespace

import pytest

from app.design import TWO_ARMS, Design
from app.form import values_of
from app.measured import cost_cards, cost_finding, facts_table, level_finding
from app.preflight import preflight
from app.tabs import configure, launch
from core.config import supported
from core.config.presets import load_preset
from core.config.spec import option_specs
from core.errors import RunError
from core.rollout.cost import Calibration
from core.runs import measuring
from core.runs.cost import forecast_of, level_warning, write_measured, write_predicted
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch, training_in_progress
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.measuring import measuring_state, start_measurement
from core.runs.memory import Memory
from tests.support.fabricated import changed, look_at, write_steps

TIMES = Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005)
GRID = tuple(50.0 * number for number in range(1, 20))
FACTS = Facts("v_prediction", 999, GRID, 13.7, 3.43, 661.7)


@pytest.fixture
def found(workspace, demo):
    """A measurement for the demo, kept."""
    made = Measurement(FACTS, TIMES, "cpu")
    keep_measurement(workspace.root, demo, made)
    return made


def rows(config, workspace):
    return {check.title: check for check in preflight(config, (), workspace, Design("single"))}


def wait(root, config, seconds=20.0):
    deadline = time.monotonic() + seconds
    while (state := measuring_state(root, config)) is not None and state.live:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return state


def prints(*lines, code=0, first=""):
    return [sys.executable, "-c", f"import sys, time\n{first}\nprint({chr(10).join(lines)!r}); sys.exit({code})"]


def test_before_a_measurement_cost_and_level_are_not_known_and_nothing_is_wrong(workspace, demo):
    found = rows(demo, workspace)
    assert found["Cost"].level == found["Identifiability"].level == "info"
    assert "Not measured yet" in found["Cost"].text
    assert "1.46 to 1.95 ×" in found["Cost"].text


def test_after_it_they_are_told_in_seconds_with_a_warning(workspace, demo, found):
    shown, cost = rows(demo, workspace), forecast_of(demo, found)
    assert shown["Cost"].level == "pass"
    assert f"{cost.seconds_per_step:.2g} s a step, {cost.relative_step_time:.2f} ×" in shown["Cost"].text
    assert shown["Identifiability"].level == "warn"
    assert shown["Identifiability"].text == level_warning(demo, FACTS)
    assert "41 % of the rolled items" in shown["Identifiability"].text


def test_memory_is_told_once_it_is_known_and_warns_where_it_does_not_fit(workspace, demo):
    assert rows(demo, workspace)["Memory"].level == "info"
    memory = Memory(**{each.name: 2**30 for each in fields(Memory)})
    for free, level in ((4000 * 2**30, "pass"), (2**30, "warn")):
        keep_measurement(workspace.root, demo, Measurement(FACTS, TIMES, "cuda", 1.0, memory, free))
        found = rows(demo, workspace)["Memory"]
        assert (found.level, "on cuda, " in found.text) == (level, True)


def test_targets_and_reaches_that_need_no_level_pass(workspace, demo, found):
    for values in ({"scheduled_sampling_target": "posterior"}, {"scheduled_sampling_target": "original"}):
        level, text = level_finding(workspace.root, changed(demo, **values))
        assert level == "pass"
        assert values["scheduled_sampling_target"] in text
    assert level_finding(workspace.root, changed(demo, scheduled_sampling_max_step_offset=0)) is None


def test_rollouts_that_all_start_below_the_level_pass(workspace, demo):
    facts = Facts("v_prediction", 999, GRID, 1e4, 2.5e3, 999.0)
    keep_measurement(workspace.root, demo, Measurement(facts, TIMES, "cpu"))
    assert level_finding(workspace.root, demo)[0] == "pass"


def test_one_picture_cannot_be_mixed_up(workspace, demo):
    keep_measurement(workspace.root, demo, Measurement(Facts("v_prediction", 999, GRID), TIMES, "cpu"))
    assert level_finding(workspace.root, demo)[0] == "pass"


def test_a_measurement_that_fails_tells_its_errors(workspace, demo):
    start_measurement(workspace.root, demo, prints("loading", "error: rank must be smaller", code=2))
    state = wait(workspace.root, demo)
    assert state.label == "failed"
    assert cost_finding(workspace.root, demo) == ("warn", "It could not be measured: rank must be smaller")
    assert training_in_progress(workspace.root) is None


def test_an_older_error_is_not_taken_for_a_newer_one(workspace, demo):
    start_measurement(workspace.root, demo, prints("error: the first", code=2))
    wait(workspace.root, demo)
    start_measurement(workspace.root, demo, prints("error: the second", code=2))
    wait(workspace.root, demo)
    assert cost_finding(workspace.root, demo)[1].endswith("measured: the second")


def test_a_result_after_a_failure_is_what_counts(workspace, demo):
    start_measurement(workspace.root, demo, prints("error: no", code=2))
    wait(workspace.root, demo)
    keep_measurement(workspace.root, demo, Measurement(FACTS, TIMES, "cpu"))
    assert cost_finding(workspace.root, demo)[0] == "pass"


def test_the_page_says_that_it_measures_and_shows_the_result_when_it_is_there(parts, workspace, demo, monkeypatch):
    flag = workspace.root / "go"
    waits = f"import os; [time.sleep(0.02) for _ in iter(lambda: os.path.exists({str(flag)!r}), True)]"
    monkeypatch.setattr(
        "app.workbench.start_measurement",
        lambda root, config: start_measurement(root, config, prints("x", first=waits)),
    )
    raw = values_of(demo)

    def sleep(seconds):
        flag.touch()  # it ends only once somebody waits for it
        time.sleep(0.02)

    monkeypatch.setattr(launch, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    try:
        assert launch.measure(parts, raw) == ""
        button, checks = launch.review(parts, TWO_ARMS, "demo", raw)[7:9]
        assert (button.value, button.interactive) == ("Measuring …", False)
        assert "Being measured now" in checks
        assert "a measurement is in progress" in checks
        assert "measurement is in progress" in launch.measure(parts, raw)
        keep_measurement(workspace.root, demo, Measurement(FACTS, TIMES, "cpu", time.time() + 60))
        button, checks, total, cards = launch.settle(parts, TWO_ARMS, "demo", raw)[7:11]
    finally:
        flag.touch()
    assert button.value == "Measure again (about 10 s)"
    assert "Measured here (cpu)" in checks
    assert "about" in total
    assert "about" in cards


def test_without_a_measurement_under_way_there_is_nothing_to_wait_for(parts, demo):
    assert launch.settle(parts, TWO_ARMS, "demo", values_of(demo)) == launch.gr.skip()


def test_nothing_is_measured_beside_a_training(parts, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Busy", demo)
    record_launch(workspace.root, 'run "busy"', run.path, Identity.of(os.getppid()))
    assert "run &quot;busy&quot; is in progress" in launch.measure(parts, values_of(demo))
    with pytest.raises(RunError, match="busy"):
        start_measurement(workspace.root, demo)
    assert not measuring.measuring_folder(workspace.root, demo).path.exists()


def test_settings_that_cannot_be_trained_are_not_measured(parts, demo, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            supported, "LIMITS", (supported.Limit("rank", "at most 2", lambda config: config.lora.rank <= 2),)
        )
        assert "rank must be at most 2 in this version" in launch.measure(parts, values_of(demo))
    raw = values_of(demo)
    raw[list(option_specs()).index("rank")] = 0
    assert "rank must" in launch.measure(parts, raw)
    assert launch.review(parts, TWO_ARMS, "demo", raw)[7].interactive is False


def test_previews_show_seconds_and_the_safe_level(parts, demo, found):
    cost, _, charts = configure.preview(parts, "demo", values_of(demo))[2:5]
    assert "measured here" in cost
    assert "anchored targets are safe up to timestep 662" in charts
    assert f"{forecast_of(demo, found).seconds_per_step:.2g} s" in charts
    other = configure.preview(parts, "demo", values_of(changed(demo, train_batch_size=2)))[2:5]
    assert "measured here" not in other[0]
    assert "safe up to" not in other[2]


def test_the_assumed_grid_is_told_until_the_own_one_is_known(parts, demo, found):
    config = changed(demo, scheduled_sampling_stride="inference")
    assert "even one" not in configure.preview(parts, "demo", values_of(config))[3]
    assert "even one" in configure.preview(parts, "demo", values_of(changed(config, rank=2)))[3]


def test_visited_rollouts_show_what_they_train(demo):
    html = cost_cards(changed(demo, scheduled_sampling_mode="visited"), None)
    assert "States trained" in html
    assert "2.39" in html
    assert "States trained" not in cost_cards(demo, None)


def test_a_runs_page_tells_what_was_expected_and_what_it_did_cost(parts, workspace, demo, found):
    run = RunFolder.create(workspace.runs_dir, "Costs", demo)
    write_predicted(run, found)
    write_steps(run, 8, rolled=2, seconds=0.5)
    html = look_at(parts, "monitor", selection="runs/costs")[0]["monitor.facts"]
    assert "Step, predicted" in html
    assert "timestep 662 (sigma/alpha 3.43)" in html
    assert "Step, measured" not in html
    write_measured(run)
    assert "0.5 s, " in look_at(parts, "monitor", selection="runs/costs")[0]["monitor.facts"]


def test_an_older_run_has_no_such_table(workspace, demo):
    assert facts_table({"run": RunFolder.create(workspace.runs_dir, "Old", demo)}) == ""


def test_reflexflow_that_is_on_by_itself_is_told_beside_the_fields_and_on_the_runs_page(parts, workspace):
    flow = load_preset("demo-flow").config
    assert "ReflexFlow is on by itself" in configure.preview(parts, "demo-flow", values_of(flow))[3]
    RunFolder.create(workspace.runs_dir, "Flow", flow)
    assert "ReflexFlow is on by itself" in look_at(parts, "monitor", selection="runs/flow")[0]["monitor.facts"]


def test_live_plots_stand_on_a_runs_page_only_where_there_is_data(parts, experiment, workspace, demo):
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.live"]
    assert "Variance V of the live rollouts" in html
    assert "ReflexFlow" not in html
    assert "posterior" not in html.lower()
    run = RunFolder.create(workspace.runs_dir, "Plain", demo)
    write_steps(run, 3)
    assert look_at(parts, "monitor", selection="runs/plain")[0]["monitor.live"] == ""
