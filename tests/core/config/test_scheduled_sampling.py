from typing import get_args

import pytest
from pydantic import ValidationError

from core.config.problems import problems_of
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.rollout.samplers import SAMPLERS

DEFAULTS = {
    "max_step_offset": 0,
    "stride": 1,
    "probability": 0.0,
    "ramp_steps": 0,
    "prob_start": 0.0,
    "prob_end": 0.5,
    "start_step": 0,
    "ramp_shape": "linear",
    "strategy": "uniform",
    "sampler": "unipc",
    "order": 2,
    "mode": "fresh",
    "target": "anchored",
    "guidance_scale": 1.0,
    "reflexflow": None,
    "reflexflow_alpha": 1.0,
    "reflexflow_beta1": 10.0,
    "reflexflow_beta2": 1.0,
}


def test_names_and_defaults_are_the_published_ones():
    assert ScheduledSamplingConfig().model_dump() == DEFAULTS


def test_the_samplers_that_can_be_chosen_are_those_that_exist():
    assert set(get_args(ScheduledSamplingConfig.model_fields["sampler"].annotation)) == set(SAMPLERS)


@pytest.mark.parametrize(
    ("options", "enabled"),
    [
        ({}, False),
        ({"max_step_offset": 3}, False),
        ({"probability": 1.0}, False),
        ({"max_step_offset": 3, "probability": 0.1}, True),
        ({"max_step_offset": 3, "ramp_steps": 10}, True),
        ({"max_step_offset": 3, "ramp_steps": 10, "prob_end": 0.0}, False),
        ({"max_step_offset": 3, "ramp_steps": 10, "prob_end": 0.0, "probability": 1.0}, False),
        ({"max_step_offset": 3, "ramp_steps": 10, "prob_end": 0.0, "prob_start": 0.2}, True),
    ],
)
def test_rollout_is_on_only_with_a_length_and_a_probability_that_is_reached(options, enabled):
    assert ScheduledSamplingConfig(**options).enabled is enabled


def test_a_frozen_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        ScheduledSamplingConfig().order = 3


def test_problems_of_the_block_alone_carry_the_prefix():
    with pytest.raises(ValidationError) as caught:
        ScheduledSamplingConfig(probability=1.5, max_offset=3)
    assert [str(problem) for problem in problems_of(caught.value, "scheduled_sampling")] == [
        "scheduled_sampling_probability must be between 0 and 1, got 1.5",
        "scheduled_sampling_max_offset is not an option; did you mean scheduled_sampling_max_step_offset?",
    ]


def test_a_rollout_longer_than_any_noise_schedule_is_refused_by_the_block_alone():
    ScheduledSamplingConfig(max_step_offset=10, stride=100)
    with pytest.raises(ValidationError) as caught:
        ScheduledSamplingConfig(max_step_offset=11, stride=100)
    (problem,) = problems_of(caught.value, "scheduled_sampling")
    assert problem.option == "scheduled_sampling_max_step_offset"
    assert "must be at most 1000" in problem.message
