"""The forecast: right on average against planned batches, and every option that costs something counts."""

import dataclasses

import pytest
import torch
from noise_schedules import options

from core.rollout.cost import forecast
from core.rollout.plan import draw_plan
from core.rollout.ramp import probability_at


def test_the_forecast_is_the_mean_over_planned_batches(generator):
    chosen = options(max_step_offset=6, stride=100, ramp_steps=200, prob_start=0.2, prob_end=1.0, start_step=100)
    calls = forwards = 0
    for step in range(2000):
        t = torch.randint(0, 1000, (4,), generator=generator)
        p = probability_at(step % 400, chosen)
        plan = draw_plan(chosen, t, probability=p, last=999, generator=generator)
        calls += plan.longest
        forwards += int(plan.steps.sum())
    expected = forecast(chosen, 4, 400, last=999)
    assert expected.rollout_calls_per_step == pytest.approx(calls / 2000, rel=0.04)
    assert expected.rollout_forwards_per_step == pytest.approx(forwards / 2000, rel=0.04)
    assert expected.forwards_total == pytest.approx(expected.rollout_forwards_per_step * 400)
    assert expected.mean_probability == pytest.approx(0.5 * 0.6 + 0.25 * 1.0, abs=0.005)


def test_figures_of_the_usual_recipe():
    result = forecast(options(max_step_offset=10, probability=1.0), 8, 100, last=999)
    assert 9.0 < result.rollout_calls_per_step <= 9.5
    assert result.rollout_forwards_per_item == pytest.approx(5.0, abs=0.06)
    assert result.relative_step_time == pytest.approx(1 + 5 / 3, abs=0.02)
    assert result.relative_step_time_upper > result.relative_step_time


def test_off_costs_nothing():
    for off in (options(probability=1.0), options(max_step_offset=5, probability=0.0)):
        result = forecast(off, 4, 50, last=999)
        assert (result.forwards_total, result.calls_total, result.relative_step_time) == (0.0, 0.0, 1.0)


def test_no_training_costs_nothing():
    assert forecast(options(max_step_offset=5, probability=1.0), 4, 0, last=999).calls_total == 0.0


BASE = {"max_step_offset": 5, "probability": 0.5, "stride": 50}


@pytest.mark.parametrize(
    ("changes", "factor"),
    [({"sampler": "rk4"}, 4), ({"sampler": "dpm"}, 1), ({"guidance_scale": 3.0}, 2), ({"guidance_scale": 1.0}, 1)],
)
def test_samplers_and_guidance_multiply_the_forwards(changes, factor):
    plain = forecast(options(**BASE), 4, 100, last=999)
    dear = forecast(options(**(BASE | changes)), 4, 100, last=999)
    assert dear.rollout_forwards_per_item == pytest.approx(factor * plain.rollout_forwards_per_item)
    assert dear.relative_step_time_upper - 1 == pytest.approx(factor * (plain.relative_step_time_upper - 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"max_step_offset": 6},
        {"stride": 120},
        {"stride": "inference"},
        {"probability": 0.6},
        {"ramp_steps": 50},
        {"start_step": 10},
        {"strategy": "biased_late"},
    ],
)
def test_every_option_that_matters_changes_the_forecast(changes):
    plain, other = forecast(options(**BASE), 4, 100, last=999), forecast(options(**(BASE | changes)), 4, 100, last=999)
    assert other.rollout_forwards_per_item != pytest.approx(plain.rollout_forwards_per_item, rel=1e-3)


def test_a_dearer_forward_takes_longer():
    plain, dear = (forecast(options(**BASE), 4, 100, last=999, forward_share=share) for share in (0.25, 0.5))
    assert dear.relative_step_time - 1 == pytest.approx(2 * (plain.relative_step_time - 1))


def test_a_long_training_is_forecast_like_a_short_one():
    ramp = {"max_step_offset": 5, "stride": 50, "prob_end": 1.0}
    short = forecast(options(**ramp, ramp_steps=500), 4, 1000, last=999)
    long = forecast(options(**ramp, ramp_steps=50_000), 4, 100_000, last=999)
    for field in dataclasses.fields(short):
        if not field.name.endswith("_total"):
            assert getattr(long, field.name) == pytest.approx(getattr(short, field.name), rel=1e-3)
