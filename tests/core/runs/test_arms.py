"""Arms differ in what their kind may change, and in nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.config.flat import difference
from core.config.run import RunConfig
from core.errors import ConfigError, RunError
from core.runs.arms import KNOWN_ARMS, Arm, arm_of, at_seed, changed, describe, resolve_arms
from core.runs.cost import forecast_of

K = "scheduled_sampling_max_step_offset"
ALL = tuple(KNOWN_ARMS)


def own(config: RunConfig, name: str = "mine", **changes) -> Arm:
    """An arm of one's own that declares what it changes."""
    return Arm(name, name, changed(config, changes), changes)


def names(arms: tuple[Arm, ...]) -> list[str]:
    return [arm.arm for arm in arms]


def compute(config: RunConfig) -> float:
    """Forward equivalents of a whole training, per item of its batch."""
    cost = forecast_of(config)
    return config.training.max_train_steps * (cost.rollout_forwards_per_item + 3 * cost.trained_per_item)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("teacher-forced", {K}),
        ("rollout", set()),
        ("equal-compute", {K, "max_train_steps"}),
        ("input-perturbation", {K, "input_perturbation"}),
        ("placebo", {"placebo_of"}),
        ("replicate", {K, "seed"}),
    ],
)
def test_a_known_arm_changes_its_own_options_and_no_other(config: RunConfig, name: str, options: set[str]) -> None:
    arm = arm_of(name, config)
    assert set(arm.changes) == set(difference(config, arm.config)) == options


def test_all_known_arms_go_together(config: RunConfig) -> None:
    assert set(names(resolve_arms(config, ALL))) == set(ALL)


@pytest.mark.parametrize(
    "rollout",
    [{}, {"scheduled_sampling_mode": "visited"}, {"scheduled_sampling_guidance_scale": 2.0}, {K: 1}],
    ids=["fresh", "visited", "guided", "short"],
)
def test_equal_compute_costs_what_the_rollout_costs_and_less_than_a_step_more(config: RunConfig, rollout: dict) -> None:
    config = changed(config, rollout)
    equal = arm_of("equal-compute", config).config
    assert equal.training.max_train_steps > config.training.max_train_steps
    assert compute(config) - 1e-6 <= compute(equal) < compute(config) + 3


def test_equal_compute_keeps_the_learning_rate_s_options(config: RunConfig) -> None:
    warm = changed(config, {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 20})
    equal = arm_of("equal-compute", warm).config.training
    assert (equal.lr_scheduler, equal.lr_warmup_steps, equal.learning_rate) == (
        "constant_with_warmup",
        20,
        warm.training.learning_rate,
    )


def test_without_a_rollout_equal_compute_has_nothing_to_equal(config: RunConfig) -> None:
    off = changed(config, {"scheduled_sampling_probability": 0.0})
    with pytest.raises(RunError, match="got teacher-forced and equal-compute alike"):
        resolve_arms(off, ["teacher-forced", "equal-compute"])


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        (["rollout", "teacher-forced"], ["teacher-forced", "rollout"]),
        (["placebo", "teacher-forced", "rollout"], ["teacher-forced", "rollout", "placebo"]),
        (["teacher-forced", "rollout", "placebo", "too-long"], ["teacher-forced", "rollout", "placebo", "too-long"]),
    ],
)
def test_the_reference_comes_first_and_a_placebo_after_its_rollout(
    config: RunConfig, asked: list[str], order: list[str]
) -> None:
    assert names(resolve_arms(config, asked)) == order


def test_a_placebo_without_its_rollout_is_refused(config: RunConfig) -> None:
    with pytest.raises(RunError, match="must hold rollout where they hold placebo"):
        resolve_arms(config, ["teacher-forced", "placebo"])


def test_a_placebo_of_one_s_own_arm_follows_that_arm(config: RunConfig) -> None:
    shorter = own(config, "shorter", **{K: 1})
    control = own(config, "its-placebo", **{K: 1, "placebo_of": "shorter"})
    assert names(resolve_arms(config, [control, shorter])) == ["shorter", "its-placebo"]
    other = own(config, "its-placebo", **{K: 2, "placebo_of": "shorter"})
    with pytest.raises(RunError, match=r"alike in all but placebo_of .* got its-placebo and shorter"):
        resolve_arms(config, [shorter, other])


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("mine", "learning_rate", 0.5),
        ("mine", "seed", 7),
        ("mine", "validation_seed", 7),
        ("equal-compute", "input_perturbation", 0.1),
        ("rollout", "max_train_steps", 700),
    ],
)
def test_a_foreign_difference_is_refused_and_named(config: RunConfig, name: str, option: str, value: float) -> None:
    with pytest.raises(RunError, match=f"got {name} with another {option}$"):
        resolve_arms(config, ["teacher-forced", own(config, name, **{K: 0, option: value})])


def test_a_known_name_stands_for_the_known_arm(config: RunConfig) -> None:
    with pytest.raises(RunError, match="must be what a known name says, got rollout with options of its own"):
        resolve_arms(config, ["teacher-forced", own(config, "rollout", **{K: 1})])


def test_all_that_is_unfair_is_told_at_once(config: RunConfig) -> None:
    untrue = replace(own(config, "untrue", **{K: 2}), changes={K: 1})
    with pytest.raises(RunError) as caught:
        resolve_arms(config, ["placebo", untrue, own(config, "foreign", learning_rate=0.5)])
    told = str(caught.value).splitlines()
    assert len(told) == 3
    assert any("placebo" in line for line in told)
    assert any("untrue" in line for line in told)
    assert any("learning_rate" in line for line in told)


def test_at_another_seed_an_arm_differs_in_the_seed_and_in_the_folder_that_it_names(config: RunConfig) -> None:
    for arm in resolve_arms(config, ALL):
        moved = at_seed(arm, config, 2, "-s44")
        expected = {"seed": (arm.config.training.seed, arm.config.training.seed + 2)}
        if arm.arm == "placebo":
            expected["placebo_of"] = ("rollout", "rollout-s44")
        assert difference(arm.config, moved.config) == expected
        assert set(moved.changes) == set(arm.changes)


def test_a_replicate_is_no_seed_of_the_experiment(config: RunConfig) -> None:
    assert arm_of("replicate", config).config.training.seed == config.training.seed + 1000


def test_a_seed_that_is_none_is_refused(config: RunConfig) -> None:
    last = changed(config, {"seed": 2**32 - 1})
    with pytest.raises(ConfigError, match="seed must be"):
        arm_of("replicate", last)


@pytest.fixture
def shown(config: RunConfig) -> Callable[[str], list[str]]:
    return lambda name: describe(config, arm_of(name, config).config)


def test_differences_are_described_option_by_option(shown: Callable[[str], list[str]]) -> None:
    assert shown("rollout") == []
    assert shown("input-perturbation") == ["input_perturbation = 0.1, not 0.0", f"{K} = 0, not 3"]
    assert shown("placebo") == ["placebo_of = 'rollout', not unset"]


def test_every_known_arm_has_one_sentence() -> None:
    for known in KNOWN_ARMS.values():
        assert known.help.endswith(".")
        assert known.help.count(". ") == 0
    assert len({known.label for known in KNOWN_ARMS.values()}) == len(KNOWN_ARMS)
