"""cost.json and facts.json of a run, and the measurements of a workspace."""

import json
import math
from dataclasses import replace

import pytest

from core.config.flat import flatten, parse_config
from core.config.presets import load_preset
from core.rollout.cost import Calibration, forecast
from core.rollout.expected import timestep_shares
from core.runs import journal
from core.runs.cost import (
    forecast_of,
    measure_records,
    read_cost,
    read_facts,
    share_above_level,
    write_measured,
    write_predicted,
)
from core.runs.folder import RunFolder
from core.runs.measurement import (
    Facts,
    Measurement,
    find_measurement,
    keep_measurement,
    measurement_key,
    measurement_path,
)
from core.runs.records import StepRecord

GRID = (50.0, 300.0, 700.0, 999.0)
TIMES = Calibration(0.02, 0.01, 0.03, 0.02, 0.03, 0.02, 0.005)
FACTS = Facts("v_prediction", 999, GRID, 8.0, 2.0, 600.0)
FOUND = Measurement(FACTS, TIMES, "cpu", 1.0)


def changed(config, **values):
    return parse_config({**flatten(config), **values})


@pytest.fixture
def demo():
    return load_preset("demo").config


@pytest.fixture
def folder(tmp_path, demo):
    return RunFolder.create(tmp_path / "runs", "run", demo)


def records(count, **more):
    shared = {"loss": 1.0, "items": 8, "rollout_calls": 3, "rollout_forwards": 12, "trained_states": 8} | more
    return [StepRecord(step=step + 1, seconds=9.0 if step < 3 else 0.5, **shared) for step in range(count)]


def test_what_was_predicted_and_measured_reads_back(folder, demo):
    write_predicted(folder, FOUND)
    for record in records(10):
        journal.append(folder.metrics_path, record.to_dict())
    write_measured(folder)
    cost, expected = read_cost(folder), forecast_of(demo, FOUND)
    assert cost.calibration == TIMES
    assert cost.predicted["seconds_per_step"] == pytest.approx(expected.seconds_per_step)
    assert cost.predicted["rollout_calls_per_step"] == pytest.approx(expected.rollout_calls_per_step)
    assert cost.measured.steps == 7
    assert cost.measured.seconds_per_step == cost.measured.median_seconds == 0.5
    assert (cost.measured.calls_per_step, cost.measured.forwards_per_item) == (3, 1.5)
    assert cost.measured.trained_per_item == 1.0
    assert cost.measured.relative_step_time == pytest.approx(0.5 / expected.plain_seconds_per_step)
    assert read_facts(folder) == FACTS
    facts = json.loads((folder.path / "facts.json").read_text())
    assert facts["start_above_level"] == pytest.approx(share_above_level(demo, FACTS))


def test_a_second_end_replaces_the_first(folder):
    write_predicted(folder, FOUND)
    for count in (4, 4):
        for record in records(count):
            journal.append(folder.metrics_path, record.to_dict())
        write_measured(folder)
    assert read_cost(folder).measured.steps == 5


def test_the_mean_is_what_a_forecast_expects_and_the_median_stands_beside_it():
    found = measure_records([*records(5), *[replace(each, seconds=2.5) for each in records(1)]], 0.5)
    assert found.seconds_per_step == pytest.approx((0.5 + 0.5 + 2.5) / 3)
    assert found.median_seconds == 0.5
    assert found.relative_step_time == pytest.approx(found.seconds_per_step / 0.5)


def test_a_short_run_is_measured_over_all_its_steps():
    assert measure_records(records(2), math.nan).steps == 2
    assert measure_records(records(2), math.nan).relative_step_time is None


def test_an_older_run_and_one_without_steps_have_no_cost(folder):
    assert read_cost(folder) is None
    assert read_facts(folder) is None
    write_measured(folder)
    assert not (folder.path / "cost.json").exists()
    write_predicted(folder, FOUND)
    write_measured(folder)
    assert read_cost(folder).measured is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"predicted": 3}', '{"predicted": {"calibration": {}}}', "{"])
def test_files_that_cannot_be_read_are_none(folder, text):
    for name in ("cost.json", "facts.json"):
        (folder.path / name).write_text(text)
    assert read_cost(folder) is None
    assert read_facts(folder) is None


def test_a_forecast_knows_the_whole_config(demo):
    config = changed(
        demo, train_batch_size=3, gradient_accumulation_steps=2, scheduled_sampling_stride="inference",
        scheduled_sampling_ramp_steps=50,
    )  # fmt: skip
    shares = timestep_shares(999, flow_matching=False)
    expected = forecast(
        config.scheduled_sampling, 6, config.training.max_train_steps, last=999, micro_steps=2, grid=GRID,
        shares=shares, calibration=TIMES,
    )  # fmt: skip
    assert forecast_of(config, FOUND) == expected
    assert forecast_of(config).seconds_per_step is None
    checkpointed = changed(demo, gradient_checkpointing=True)
    assert forecast_of(checkpointed).relative_step_time < forecast_of(demo).relative_step_time


def test_the_loaded_kind_decides_whether_reflexflow_costs(demo):
    flow = replace(FOUND, facts=replace(FACTS, kind="flow_matching", last=1000))
    unset, off = (changed(demo, scheduled_sampling_reflexflow=value) for value in (None, False))
    assert forecast_of(unset, flow).rollout_calls_per_step > forecast_of(off, flow).rollout_calls_per_step + 0.9
    assert forecast_of(unset, FOUND).rollout_calls_per_step == forecast_of(off, FOUND).rollout_calls_per_step


def test_the_share_above_the_level_is_a_question_of_anchored_rollouts_only(demo):
    assert 0.1 < share_above_level(demo, FACTS) < 0.9
    assert share_above_level(demo, replace(FACTS, level_timestep=999.0)) == 0.0
    assert share_above_level(demo, replace(FACTS, level_timestep=None)) is None
    assert share_above_level(changed(demo, scheduled_sampling_target="posterior"), FACTS) is None
    assert share_above_level(changed(demo, scheduled_sampling_max_step_offset=0), FACTS) is None


def test_a_measurement_is_found_again_for_any_rollout_and_for_no_other_workload(tmp_path, demo):
    assert find_measurement(tmp_path, demo) is None
    keep_measurement(tmp_path, demo, FOUND)
    assert find_measurement(tmp_path, demo) == FOUND
    same = changed(demo, scheduled_sampling_max_step_offset=7, max_train_steps=5, learning_rate=1.0, seed=3)
    assert find_measurement(tmp_path, same) == FOUND


@pytest.mark.parametrize(
    "values",
    [
        {"train_batch_size": 2},
        {"resolution": 32},
        {"rank": 2},
        {"gradient_checkpointing": True},
        {"mixed_precision": "bf16"},
        {"with_prior_preservation": False},
        {"validation_num_inference_steps": 9},
        {"instance_prompt": "another"},
        {"random_flip": True},
        {"pretrained_model_name_or_path": "else/where"},
    ],
)
def test_the_key_changes_with_what_a_measurement_depends_on(demo, values):
    assert measurement_key(changed(demo, **values)) != measurement_key(demo)


@pytest.mark.parametrize("folder", [".", "10_sks cat"])
def test_the_key_changes_with_the_pictures(tmp_path, demo, folder):
    pictures = tmp_path / "pictures" / folder
    pictures.mkdir(parents=True)
    config = changed(demo, instance_data_dir=str(tmp_path / "pictures"))
    empty = measurement_key(config)
    (pictures / "a.png").write_bytes(b"1")
    one = measurement_key(config)
    (pictures / "a.png").write_bytes(b"22")
    assert len({empty, one, measurement_key(config)}) == 3


@pytest.mark.parametrize("text", ["", "{}", '{"facts": {}, "calibration": {}}', '{"facts": 1, "calibration": 2}'])
def test_a_measurement_that_cannot_be_read_is_none(tmp_path, demo, text):
    path = measurement_path(tmp_path, demo)
    path.parent.mkdir()
    path.write_text(text)
    assert find_measurement(tmp_path, demo) is None
