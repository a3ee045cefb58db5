"""Sweeps: which trainings a grid or a list makes, what is wrong with it at once, and what a cap lets through."""

from dataclasses import replace

import pytest

from core.config.flat import difference
from core.config.presets import load_preset
from core.errors import ConfigError, RunError
from core.rollout.cost import Calibration
from core.runs.experiment import create_experiment
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.sweep import (
    Costed,
    costed,
    fitting,
    read_grid,
    read_list,
    sweep_arms,
    total_seconds,
    within_cap,
)

K, LR = "scheduled_sampling_max_step_offset", "learning_rate"


@pytest.fixture(scope="module")
def demo():
    return load_preset("demo").config


@pytest.fixture
def arms(demo):
    return sweep_arms(demo, read_grid([f"{K}=1,3,5", f"{LR}=1e-4,2e-4"]))


@pytest.fixture
def priced(arms):
    """Seven arms: the reference takes 60 s, the others 100, 90, 80, 70, 60, 50 s."""
    return tuple(Costed(arm, 60.0 if place == 0 else 110.0 - 10 * place) for place, arm in enumerate(arms))


def problems(do) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        do()
    return [problem.message for problem in caught.value.problems]


def test_a_grid_is_every_combination_and_one_reference(demo, arms):
    assert arms[0].arm == "teacher-forced"
    values = [(arm.config.scheduled_sampling.max_step_offset, arm.config.training.learning_rate) for arm in arms[1:]]
    assert values == [(k, rate) for k in (1, 3, 5) for rate in (1e-4, 2e-4)]
    assert all(set(difference(demo, arm.config)) <= {K, LR} for arm in arms)
    assert len({arm.stem for arm in arms}) == len(arms)
    assert arms[1].label == "max_step_offset=1, learning_rate=1e-4"


def test_a_list_is_one_combination_a_line():
    text = f"# tried before\n{K}=3 {LR}=1e-4\n\n{K}=5  # long\ninstance_prompt='a sks cat, sitting'\n"
    assert read_list(text) == [{K: "3", LR: "1e-4"}, {K: "5"}, {"instance_prompt": "a sks cat, sitting"}]


def test_everything_wrong_with_all_combinations_is_said_at_once(demo):
    said = problems(lambda: sweep_arms(demo, read_grid([f"{K}=1,-5", f"{LR}=1e-4,x", "lora_rank=3", "seed=1,2"])))
    assert len(said) == 4
    for words in ("lora_rank is not an option", "seed must be the same in all arms", f"{K} must be", f"{LR} must be"):
        assert sum(words in line for line in said) == 1


def test_values_that_contradict_each_other_name_their_combination(demo):
    (said,) = problems(lambda: sweep_arms(demo, read_grid(["scheduled_sampling_order=1,2", f"{K}=3,900"])))
    assert K in said
    assert said.endswith("(order=1, max_step_offset=900)")


@pytest.mark.parametrize("option", ["validation_seed=1,2", "drift_pairs=4,8", "placebo_of=a,b", "num_processes=1,2"])
def test_what_would_make_arms_incomparable_is_refused(demo, option):
    (said,) = problems(lambda: sweep_arms(demo, read_grid([option])))
    assert "must be the same in all arms of a sweep" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([K], "--over must be NAME=VALUE,VALUE"), ([f"{K}=1,,2"], "--over must be NAME=VALUE,VALUE"),
        ([f"{K}=1", f"{K}=2"], "must name each option once"),
        ([f"{K}=" + ",".join(map(str, range(11))), "rank=" + ",".join(map(str, range(1, 11)))], "at most 100"),
    ],
)  # fmt: skip
def test_a_grid_that_is_none_is_refused(words, said):
    assert said in problems(lambda: read_grid(words))[0]


def test_a_line_that_is_none_is_refused_with_its_number():
    assert [line.split(": ")[0] for line in problems(lambda: read_list("a=1\nb\n'c=3"))] == [
        "--list must hold NAME=VALUE pairs, got in line 2",
        "--list must hold NAME=VALUE pairs, got in line 3",
    ]


def test_equal_trainings_are_trained_once(demo):
    arms = sweep_arms(demo, [*read_grid([f"{K}=0,3"]), {K: "3"}])
    assert [arm.config.scheduled_sampling.max_step_offset for arm in arms] == [0, 3]


def test_a_sweep_of_nothing_but_the_reference_is_refused(demo):
    assert "differs from the teacher-forced reference" in problems(lambda: sweep_arms(demo, [{K: "0"}]))[0]
    assert "at least one combination" in problems(lambda: sweep_arms(demo, []))[0]


def test_names_that_are_too_long_are_numbers(demo):
    grid = read_grid([f"{K}=1,3", "instance_prompt=a photo of a very particular sks cat", f"{LR}=1e-4"])
    assert [arm.stem for arm in sweep_arms(demo, grid)[1:]] == ["arm-1", "arm-2"]


def test_the_forecast_is_steps_times_the_measured_step(demo, tmp_path, arms):
    assert {each.seconds for each in costed(tmp_path, arms)} == {None}
    assert total_seconds(costed(tmp_path, arms), 1) is None
    for arm in arms:
        calibration = Calibration(0.01, 0.02, 0.05, 0.1, 0.05, 0.1, 0.01)
        keep_measurement(
            tmp_path, arm.config, Measurement(Facts("v_prediction", 999, (1.0, 500.0)), calibration, "cpu")
        )
    known = costed(tmp_path, arms)
    assert known[0].seconds < known[1].seconds < known[3].seconds < known[5].seconds
    assert total_seconds(known, 2) == pytest.approx(2 * sum(each.seconds for each in known))


def test_a_cap_that_suffices_changes_nothing(priced):
    assert within_cap(priced, 1, None, fit=False) == priced
    assert within_cap(priced, 1, 8.5, fit=False) == priced


def test_more_than_the_cap_is_refused_with_what_would_fit_and_what_would_do(priced):
    (said,) = problems(lambda: within_cap(priced, 1, 3.0, fit=False))
    assert said == (
        "--max-minutes must be at least 8.5 for all 7 trainings, got 3; teacher-forced, mso5-lr1e-4, mso5-lr2e-4 would "
        "fit (2.9 min): --fit takes these"
    )


def test_fitting_keeps_the_reference_and_the_cheapest_in_their_order(priced):
    kept = within_cap(priced, 1, 3.0, fit=True)
    assert [each.arm.arm for each in kept] == ["teacher-forced", "mso5-lr1e-4", "mso5-lr2e-4"]
    assert total_seconds(kept, 1) <= 180
    assert len(fitting(priced, 2, 180)) < len(kept)


def test_a_cap_below_the_cheapest_pair_is_refused_even_when_asked_to_fit(priced):
    (said,) = problems(lambda: within_cap(priced, 1, 1.5, fit=True))
    assert "the reference and the cheapest arm take 1.9 min" in said


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan")])
def test_a_cap_that_is_no_time_is_refused(priced, cap):
    assert problems(lambda: within_cap(priced, 1, cap, fit=True))[0].startswith("--max-minutes must be above 0")


def test_a_cap_on_an_unknown_cost_is_refused(priced):
    unknown = (*priced[:-1], replace(priced[-1], seconds=None))
    assert "were not measured here" in problems(lambda: within_cap(unknown, 1, 9.0, fit=True))[0]


def test_the_arms_of_a_sweep_make_an_experiment_that_a_plain_comparison_would_not_take(workspace, demo, arms):
    experiment = create_experiment(workspace, "sweep", demo, arms, seeds=2, any_option=True)
    assert len(experiment.arms) == 14
    assert experiment.seeds == (demo.training.seed, demo.training.seed + 1)
    assert {row.run.meta().get("reference") for row in experiment.arms} == {
        None, f"teacher-forced-s{demo.training.seed}", f"teacher-forced-s{demo.training.seed + 1}",
    }  # fmt: skip
    with pytest.raises(RunError, match="arms must differ in the rollout's options"):
        create_experiment(workspace, "plain", demo, arms)
