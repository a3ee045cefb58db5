"""At which step each run is compared, from which measurement, what it had cost, and that nothing is filled in."""

import math
import shutil
import time

import pytest

from core.config.flat import flatten, parse_config
from core.config.presets import load_preset
from core.evaluation.verdict import judge, read_scores
from core.runs import journal
from core.runs.drift import ChainScores, DriftRecord
from core.runs.experiment_folder import ArmRun
from core.runs.folder import RunFolder
from core.runs.records import StepRecord
from core.runs.scores import SCORES
from core.runs.status import Status, write_status

STEPS = 20


@pytest.fixture
def arm(tmp_path):
    """``arm("rollout", seed)``: a run of 20 steps of 4 items, measured at 0, 10 and 20, without a training."""

    def make(
        name, seed=42, *, steps=STEPS, forwards=0, probes=(0, 10, 20), phase="done", recorded=None, v=0.0, **options
    ):
        config = parse_config(
            {**flatten(load_preset("demo").config), "max_train_steps": steps, "seed": seed, **options}
        )
        folder = RunFolder.create(tmp_path, f"{name}-s{seed}", config)
        for step in range(1, (steps if recorded is None else recorded) + 1):
            record = StepRecord(
                step, 0.5, items=4, rollout_forwards=forwards, trained_states=4, seconds=0.5, memory_mb=500.0 + step
            )
            journal.append(folder.metrics_path, record.to_dict())
        for step in probes:
            measure(folder, step, v + step)
        write_status(folder, Status(phase=phase, step=steps, total=steps, heartbeat=time.time()))
        return ArmRun(name, name, {}, folder, seed)

    return make


def measure(folder, step, v, **more):
    sampling = {"samples": 8, "inference_steps": 20, "guidance": 1.0} | more.pop("sampling", {})
    chain = ChainScores(v=v, diversity=0.8, **sampling)
    record = DriftRecord(step, chain=chain, **{"grid": (100.0, 900.0), "m1_mean": 0.2, "pairs": 4, **more})
    journal.append(folder.drift_path, record.to_dict())


def tear(path, kept=20):
    """A crash in the middle of the last line."""
    data = path.read_bytes()
    start = data.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(data[: start + kept])


def test_runs_are_read_at_the_reference_s_last_step_with_what_they_cost_until_then(arm):
    plain, rollout = read_scores([arm("teacher-forced"), arm("rollout", forwards=6, v=0.5)])
    assert (plain.step, plain.values["v_end"], plain.values["m1"]) == (20, 20.0, 0.2)
    assert rollout.values["v_end"] == 20.5
    assert set(rollout.values) == set(SCORES)
    assert math.isnan(rollout.values["g2"])
    assert (rollout.seconds, rollout.forwards, rollout.trained) == (10.0, 120, 80)
    assert (plain.compute, rollout.compute) == (240, 360)
    assert rollout.peak_memory_mib == 520.0
    assert plain.problems == rollout.problems == ()
    assert not rollout.pending


def test_gradient_checkpointing_makes_a_trained_state_dearer(arm):
    (found,) = read_scores([arm("rollout", forwards=2, gradient_checkpointing=True)])
    assert found.compute == 20 * (2 + 4 * 4)


def test_costs_end_at_the_step_at_which_a_run_is_compared(arm):
    early, other = read_scores([arm("teacher-forced", probes=(0, 10)), arm("rollout", probes=(0, 10))])
    assert (early.step, other.step, early.trained, early.peak_memory_mib) == (10, 10, 40, 510.0)


def test_the_base_model_and_the_untrained_step_are_never_compared(arm):
    only_zero = arm("rollout", probes=(0,))
    measure(only_zero.run, 20, 1.0, base=True)
    (found,) = read_scores([only_zero])
    assert found.step is None
    assert math.isnan(found.values["v_end"])


def test_a_run_that_was_not_measured_at_the_end_has_no_scores_and_says_so(arm):
    runs = [arm("teacher-forced"), arm("rollout", probes=(0, 10), phase="failed", recorded=13)]
    plain, rollout = read_scores(runs)
    assert plain.step == 20
    assert rollout.step is None
    assert not rollout.pending
    assert math.isnan(rollout.values["v_end"])
    assert math.isnan(rollout.compute)
    assert any("failed" in problem for problem in rollout.problems)
    assert any("no drift measurement at step 20: its last is at step 10" in problem for problem in rollout.problems)


def test_before_anything_reached_the_end_runs_are_read_at_the_last_step_that_they_share(arm):
    found = read_scores([
        arm("teacher-forced", probes=(0, 5, 10, 15), phase="stopped"), arm("rollout", probes=(0, 10), phase="stopped"),
        arm("placebo", probes=(), phase="queued"),
    ])  # fmt: skip
    assert [run.step for run in found] == [10, 10, None]
    assert all(run.pending for run in found)
    assert "placebo-s42 has not been started." in found[2].problems
    nowhere = read_scores([arm("teacher-forced", 7, probes=(0, 5)), arm("rollout", 7, probes=(0, 10))])
    assert [run.step for run in nowhere] == [None, None]
    assert all("no step that all runs share" in run.problems[-1] for run in nowhere)


def test_an_arm_with_another_number_of_steps_is_read_at_its_own_end(arm):
    runs = [
        arm("teacher-forced"),
        arm("equal-compute", steps=30, probes=(0, 10, 20, 30)),
        arm("equal-compute", 43, steps=30, probes=(0, 10, 20), phase="stopped"),
    ]
    plain, longer, unfinished = read_scores(runs)
    assert (plain.step, longer.step, longer.compute) == (20, 30, 360)
    assert unfinished.step is None


def test_equal_compute_reads_each_run_within_what_rollout_spent(arm):
    plain, rollout, longer, dear = read_scores(
        [
            arm("teacher-forced"),
            arm("rollout", forwards=6),
            arm("equal-compute", steps=31, probes=(0, 10, 20, 30, 31)),
            arm("too-long", forwards=24),
        ],
        view="compute",
    )
    assert (rollout.step, rollout.compute) == (20, 360)
    assert (longer.step, longer.compute) == (31, 372)  # one step's cost above the budget is within the tolerance
    assert longer.problems == ()
    assert plain.step == 20
    assert "teacher-forced-s42 is read at step 20, after 67 % of the compute that rollout spent." in plain.problems
    assert (dear.step, dear.compute) == (10, 360)


def test_a_run_whose_measurements_lie_above_the_budget_has_none_there(arm):
    dear = arm("too-long", forwards=100, probes=(0, 20))
    found = read_scores([arm("teacher-forced"), arm("rollout", forwards=6), dear], view="compute")[2]
    assert found.step is None
    assert "within the compute" in found.problems[-1]


def test_without_a_measured_rollout_run_a_seed_has_no_budget(arm):
    runs = [
        arm("teacher-forced"), arm("rollout"), arm("teacher-forced", 43),
        arm("rollout", 43, probes=(0,), recorded=4, phase="failed"),
    ]  # fmt: skip
    assert [run.step for run in read_scores(runs, view="compute")] == [20, 20, None, None]


def test_scores_come_from_the_full_measurement_only_where_every_run_has_it(arm):
    plain, rollout = runs = [arm("teacher-forced"), arm("rollout")]
    measure(plain.run, 20, -1.0, scope="full", g2=(0.1, 0.3))
    cheap = read_scores(runs)
    assert [run.values["v_end"] for run in cheap] == [20.0, 20.0]
    assert "1 of 2 runs have no full measurement at their step, rollout-s42 first" in cheap[1].problems[-1]
    measure(rollout.run, 20, -2.0, scope="full", g2=(0.5, 0.7))
    whole = read_scores(runs)
    assert [run.values["v_end"] for run in whole] == [-1.0, -2.0]
    assert [run.values["g2"] for run in whole] == pytest.approx([0.2, 0.6])
    assert whole[1].problems == ()


def test_a_score_that_one_full_measurement_lacks_comes_from_the_checkpoints_of_all(arm):
    runs = [arm("teacher-forced"), arm("rollout")]
    measure(runs[0].run, 20, -1.0, scope="full")
    measure(runs[1].run, 20, math.nan, scope="full", m1_mean=0.9)
    plain, rollout = read_scores(runs)
    assert (plain.values["v_end"], rollout.values["v_end"]) == (20.0, 20.0)
    assert (plain.values["m1"], rollout.values["m1"]) == (0.2, 0.9)


@pytest.mark.parametrize("other", [{"sampling": {"samples": 9}}, {"sampling": {"guidance": 4.0}}, {"pairs": 5}])
def test_measurements_that_were_taken_otherwise_are_never_compared(arm, other):
    runs = [arm("teacher-forced"), arm("rollout")]
    for place, run in enumerate(runs):
        measure(run.run, 20, -1.0, scope="full", **(other if place else {}))
    found = read_scores(runs)
    assert [run.values["v_end"] for run in found] == [20.0, 20.0]
    assert all("not all taken alike" in run.problems[-1] for run in found)
    measure(runs[1].run, 20, 3.0, **other)
    assert math.isnan(read_scores(runs)[1].values["v_end"])


def test_a_sweep_is_no_measurement_of_the_run(arm):
    run = arm("rollout", probes=(0, 10))
    measure(run.run, 20, 9.0, scope="sweep")
    (found,) = read_scores([run])
    assert (found.step, found.values["v_end"]) == (10, 10.0)


def test_the_latest_of_two_measurements_of_a_step_counts(arm):
    run = arm("rollout")
    measure(run.run, 20, 3.0)
    assert read_scores([run])[0].values["v_end"] == 3.0


def test_a_torn_measurement_is_said_and_never_interpolated(arm):
    runs = [arm("teacher-forced"), arm("rollout")]
    tear(runs[1].run.drift_path)
    plain, rollout = read_scores(runs)
    assert plain.step == 20
    assert math.isnan(rollout.values["v_end"])
    assert any("the last line of drift.jsonl is torn" in problem for problem in rollout.problems)
    assert judge([plain, rollout]).verdict.level == "nothing"


def test_a_line_that_cannot_be_read_is_counted_and_makes_the_costs_too_low(arm):
    run = arm("rollout")
    lines = run.run.metrics_path.read_bytes().split(b"\n")
    run.run.metrics_path.write_bytes(b"\n".join([*lines[:4], b'{"step": 5, "lo', *lines[5:]]))
    (found,) = read_scores([run])
    assert found.trained == 19 * 4
    assert "rollout-s42: 1 line of metrics.jsonl is unreadable and left out." in found.problems
    assert "rollout-s42: 1 of 20 steps are not recorded; its costs are too low." in found.problems


def test_a_run_without_a_record_of_its_steps_has_no_known_costs(arm):
    (found,) = read_scores([arm("rollout", recorded=0)])
    assert found.step == 20
    assert all(math.isnan(cost) for cost in (found.seconds, found.forwards, found.trained, found.compute))
    assert found.peak_memory_mib is None
    assert "not known" in found.problems[-1]


def test_a_folder_that_is_gone_and_a_config_that_is_garbage_are_said(arm):
    gone, broken = arm("rollout"), arm("placebo")
    shutil.rmtree(gone.run.path)
    broken.run.config_path.write_text("{")
    found = read_scores([arm("teacher-forced"), gone, broken])
    assert [run.step for run in found] == [20, None, 20]
    assert found[1].problems[0] == "rollout-s42: its folder is gone."
    assert "config cannot be read" in found[2].problems[0]


def test_an_experiment_without_seeds_takes_them_from_the_configs(arm):
    made = arm("rollout", 45)
    assert read_scores([ArmRun(made.arm, made.label, {}, made.run)])[0].seed == 45


def test_nothing_is_read_of_nothing():
    assert read_scores([]) == read_scores([], view="compute") == ()


@pytest.mark.parametrize(
    ("option", "value"),
    [("resolution", 32), ("pretrained_model_name_or_path", "embedded-flow"), ("center_crop", False)],
)
def test_an_arm_whose_samples_are_held_against_other_latents_has_costs_and_no_scores(arm, option, value):
    arms = [arm("teacher-forced"), arm("near", learning_rate=1e-3), arm("far", **{option: value}, v=-9.0)]
    reference, near, far = runs = read_scores(arms)
    assert math.isfinite(reference.values["v_end"])
    assert math.isfinite(near.values["v_end"])
    assert all(map(math.isnan, far.values.values()))
    assert far.seconds == near.seconds > 0
    assert any(f"another {option}: its samples are held against other latents" in text for text in far.problems)
    assert {place.arm for place in judge(runs).ranking} == {"teacher-forced", "near"}
