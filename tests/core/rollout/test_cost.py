"""The forecast: right on average against planned batches, and every option that costs something counts."""

import dataclasses

import numpy as np
import pytest
import torch
from noise_schedules import options

from core.rollout.cost import Calibration, forecast
from core.rollout.expected import share_starting_above, timestep_shares, touched_timesteps
from core.rollout.offsets import even_grid
from core.rollout.plan import draw_plan
from core.rollout.ramp import probability_at
from core.rollout.visited import draw_blocks
from core.training.timesteps import TIMESTEPS

BATCH, STEPS, LAST = 4, 400, 999
ROUNDS = 6
GRID = torch.tensor([20.0, 90.0, 250.0, 500.0, 730.0, 900.0, 999.0], dtype=torch.float64)
RAMP = {"max_step_offset": 6, "stride": 100, "ramp_steps": 200, "prob_start": 0.2, "prob_end": 1.0, "start_step": 100}
CONSTANT = {"max_step_offset": 3, "stride": 40, "probability": 0.3, "strategy": "biased_late"}
ON_GRID = {"max_step_offset": 4, "stride": "inference", "probability": 0.8}
OFTEN = {"max_step_offset": 12, "stride": 70, "probability": 1.0}


def counted(chosen, kind, generator):
    """Over ROUNDS trainings of STEPS steps, each as the mean and four standard errors of it: longest rollout, rollout
    steps, rolled items, any item rolled."""
    rows = []
    for step in range(ROUNDS * STEPS):
        timesteps = TIMESTEPS[kind].draw(BATCH, LAST, generator)
        common = {
            "probability": probability_at(step % STEPS, chosen), "last": LAST, "generator": generator,
            "grid": GRID if chosen.stride == "inference" else None,
        }  # fmt: skip
        if chosen.mode == "fresh":
            steps = draw_plan(chosen, timesteps, **common).steps
        else:
            steps = draw_blocks(chosen, timesteps, density=TIMESTEPS[kind].density(LAST), **common)[0].steps
        rolled = int((steps > 0).sum())
        rows.append([int(steps.max()), int(steps.sum()), rolled, rolled > 0])
    table = np.array(rows, dtype=float)
    errors = 4 * table.std(0) / len(rows) ** 0.5 + 1e-3
    return [pytest.approx(mean, abs=error) for mean, error in zip(table.mean(0), errors, strict=True)]


@pytest.mark.parametrize("kind", ["v_prediction", "flow_matching"])
@pytest.mark.parametrize("mode", ["fresh", "visited"])
@pytest.mark.parametrize("changes", [RAMP, CONSTANT, ON_GRID, OFTEN], ids=["ramp", "constant", "grid", "often"])
def test_the_forecast_is_the_mean_over_drawn_batches(mode, changes, kind, generator):
    chosen = options(mode=mode, **changes)
    longest, steps, rolled, any_rolled = counted(chosen, kind, generator)
    shares = timestep_shares(LAST, flow_matching=kind == "flow_matching")
    found, with_reflexflow = (
        forecast(chosen, BATCH, STEPS, last=LAST, grid=GRID.numpy(), shares=shares, reflexflow=on)
        for on in (False, True)
    )
    extra_calls = with_reflexflow.rollout_calls_per_step - found.rollout_calls_per_step
    extra_items = with_reflexflow.rollout_forwards_per_step - found.rollout_forwards_per_step
    if mode == "fresh":
        assert found.rollout_calls_per_step == longest
        assert found.rollout_forwards_per_step == steps
        assert (found.trained_calls_per_step, found.trained_per_item) == (1.0, 1.0)
        assert extra_calls == any_rolled
        assert extra_items == rolled
    else:
        assert (found.rollout_calls_per_step, found.rollout_forwards_per_item) == (0.0, 0.0)
        assert found.trained_calls_per_step - 1 == longest
        assert (found.trained_per_item - 1) * BATCH == steps
        assert extra_calls == longest
        assert extra_items == steps


def test_the_ramp_is_integrated():
    found = forecast(options(**RAMP), BATCH, STEPS, last=LAST)
    assert found.mean_probability == pytest.approx(0.5 * 0.6 + 0.25 * 1.0, abs=0.005)
    assert found.forwards_total == pytest.approx(found.rollout_forwards_per_step * STEPS)


def test_where_there_are_too_many_draws_an_even_sample_of_them_says_the_same(monkeypatch):
    chosen = options(mode="visited", max_step_offset=40, stride=20, probability=0.7)
    exact = forecast(chosen, BATCH, STEPS, last=LAST)
    monkeypatch.setattr("core.rollout.expected.MOST_DRAWS", 2**15)
    sampled = forecast(chosen, BATCH, STEPS, last=LAST)
    assert sampled != exact
    assert sampled.trained_per_item == pytest.approx(exact.trained_per_item, rel=2e-3)
    assert sampled.trained_calls_per_step == pytest.approx(exact.trained_calls_per_step, rel=2e-3)


def test_figures_of_the_usual_recipe():
    chosen = options(max_step_offset=10, probability=1.0)
    result = forecast(chosen, 8, 100, last=LAST)
    assert 9.0 < result.rollout_calls_per_step <= 9.5
    assert result.rollout_forwards_per_item == pytest.approx(5.0, abs=0.06)
    assert result.relative_step_time == pytest.approx(1 + 5 / 3, abs=0.02)
    assert result.relative_step_time_upper > result.relative_step_time
    assert forecast(chosen, 8, 100, last=LAST, reflexflow=True).rollout_calls_per_step <= 10.5


@pytest.mark.parametrize("mode", ["fresh", "visited"])
@pytest.mark.parametrize("reflexflow", [False, True])
@pytest.mark.parametrize("changes", [{"probability": 1.0}, {"max_step_offset": 5, "probability": 0.0}])
def test_off_and_probability_0_cost_nothing(mode, reflexflow, changes):
    result = forecast(options(mode=mode, **changes), 4, 50, last=LAST, reflexflow=reflexflow)
    assert (result.forwards_total, result.calls_total, result.relative_step_time) == (0.0, 0.0, 1.0)
    assert (result.trained_calls_per_step, result.trained_per_item) == (1.0, 1.0)


def test_no_training_costs_nothing():
    assert forecast(options(max_step_offset=5, probability=1.0), 4, 0, last=LAST).calls_total == 0.0


BASE = {"max_step_offset": 5, "probability": 0.5, "stride": 50}


@pytest.mark.parametrize(
    ("changes", "calls", "forwards"),
    [
        ({"sampler": "rk4"}, 4, 4),
        ({"sampler": "dpm"}, 1, 1),
        ({"guidance_scale": 3.0}, 1, 2),
        ({"guidance_scale": 3.0, "sampler": "rk4"}, 4, 8),
        ({"guidance_scale": 1.0}, 1, 1),
    ],
)
def test_samplers_multiply_calls_and_guidance_doubles_their_items(changes, calls, forwards):
    plain = forecast(options(**BASE), 4, 100, last=LAST)
    dear = forecast(options(**(BASE | changes)), 4, 100, last=LAST)
    assert dear.rollout_calls_per_step == pytest.approx(calls * plain.rollout_calls_per_step)
    assert dear.rollout_forwards_per_item == pytest.approx(forwards * plain.rollout_forwards_per_item)
    assert dear.relative_step_time - 1 == pytest.approx(forwards * (plain.relative_step_time - 1))


@pytest.mark.parametrize("mode", ["fresh", "visited"])
def test_accumulation_repeats_the_work_of_a_micro_step(mode):
    once, thrice = (
        forecast(options(mode=mode, **BASE), 4, 100, last=LAST, micro_steps=count, reflexflow=True) for count in (1, 3)
    )
    for name in ("rollout_calls_per_step", "rollout_forwards_per_step", "trained_calls_per_step", "calls_total"):
        assert getattr(thrice, name) == pytest.approx(3 * getattr(once, name))
    assert thrice.rollout_forwards_per_item == pytest.approx(once.rollout_forwards_per_item)
    assert thrice.trained_per_item == pytest.approx(once.trained_per_item)
    assert thrice.relative_step_time == pytest.approx(once.relative_step_time)


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
@pytest.mark.parametrize("mode", ["fresh", "visited"])
def test_every_option_that_matters_changes_the_forecast(changes, mode):
    plain, other = (
        forecast(options(**(BASE | {"mode": mode} | more)), 4, 100, last=LAST, grid=GRID.numpy())
        for more in ({}, changes)
    )
    assert other.relative_step_time != pytest.approx(plain.relative_step_time, rel=1e-3)


def test_the_grid_itself_counts():
    chosen = options(**ON_GRID)
    even, own = (forecast(chosen, 4, 100, last=LAST, grid=grid) for grid in (even_grid(LAST, 28), GRID.numpy()))
    assert own.rollout_forwards_per_item != pytest.approx(even.rollout_forwards_per_item, rel=0.05)


def test_a_dearer_backward_makes_rollouts_relatively_cheaper():
    plain, dear = (forecast(options(**BASE), 4, 100, last=LAST, train_share=share) for share in (3.0, 4.0))
    assert 3 * (plain.relative_step_time - 1) == pytest.approx(4 * (dear.relative_step_time - 1))


def test_a_calibration_turns_counts_into_seconds():
    chosen = options(**BASE)
    times = Calibration(0.2, 0.03, 0.5, 0.07, visit_call=9.0, visit_item=9.0, rest=0.11)
    found = forecast(chosen, 4, 100, last=LAST, calibration=times, micro_steps=2)
    work = 0.2 * found.rollout_calls_per_step + 0.03 * found.rollout_forwards_per_step
    assert found.plain_seconds_per_step == pytest.approx(2 * (0.5 + 4 * 0.07) + 0.11)
    assert found.seconds_per_step == pytest.approx(found.plain_seconds_per_step + work)
    assert found.relative_step_time == pytest.approx(found.seconds_per_step / found.plain_seconds_per_step)
    assert found.relative_step_time_upper == found.relative_step_time


def test_visited_states_cost_forward_and_backward():
    times = Calibration(100.0, 100.0, 9.0, 9.0, visit_call=0.5, visit_item=0.07, rest=0.0)
    found = forecast(options(mode="visited", **BASE), 4, 100, last=LAST, calibration=times)
    expected = 0.5 * found.trained_calls_per_step + 0.07 * 4 * found.trained_per_item
    assert found.seconds_per_step == pytest.approx(expected)


def test_a_long_training_is_forecast_like_a_short_one():
    ramp = {"max_step_offset": 5, "stride": 50, "prob_end": 1.0}
    short = forecast(options(**ramp, ramp_steps=500), 4, 1000, last=LAST)
    long = forecast(options(**ramp, ramp_steps=50_000), 4, 100_000, last=LAST)
    for field in dataclasses.fields(short):
        if not field.name.endswith("_total") and getattr(short, field.name) is not None:
            assert getattr(long, field.name) == pytest.approx(getattr(short, field.name), rel=1e-3)


@pytest.mark.parametrize("kind", TIMESTEPS)
def test_shares_of_timesteps_are_those_that_are_drawn(kind, generator):
    shares = timestep_shares(LAST, flow_matching=kind == "flow_matching")
    drawn = TIMESTEPS[kind].draw(200_000, LAST, generator).double().round().long()
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(
        np.add.reduceat(shares, range(0, 1000, 100)),
        np.add.reduceat(np.bincount(drawn, minlength=1000) / 200_000, range(0, 1000, 100)),
        atol=0.004,
    )


@pytest.mark.parametrize("mode", ["fresh", "visited"])
def test_the_share_that_starts_above_a_timestep_is_counted_among_rolled_items(mode, generator):
    chosen = options(mode=mode, max_step_offset=4, stride=90, probability=1.0)
    timesteps = torch.randint(0, LAST + 1, (40_000,), generator=generator)
    common = {"probability": 1.0, "last": LAST, "generator": generator}
    if mode == "fresh":
        plan = draw_plan(chosen, timesteps, **common)
    else:
        plan, _ = draw_blocks(chosen, timesteps, density=TIMESTEPS["v_prediction"].density(LAST), **common)
    expected = (plan.source[plan.rolled] > 660).double().mean().item()
    assert share_starting_above(chosen, LAST, 660.0) == pytest.approx(expected, abs=0.01)
    assert share_starting_above(options(max_step_offset=0, mode=mode), LAST, 660.0) == 0.0


def test_visited_blocks_touch_the_timesteps_that_they_are_drawn_over(generator):
    chosen = options(mode="visited", max_step_offset=4, stride=90, probability=1.0)
    timesteps = torch.randint(0, LAST + 1, (60_000,), generator=generator)
    plan, _ = draw_blocks(
        chosen,
        timesteps,
        probability=1.0,
        last=LAST,
        generator=generator,
        density=TIMESTEPS["v_prediction"].density(LAST),
    )
    touched = touched_timesteps(chosen, LAST, bins=10)
    for name in ("source", "target"):
        histogram = np.histogram(getattr(plan, name).numpy(), touched["edges"])[0] / len(timesteps)
        np.testing.assert_allclose(touched[name], histogram, atol=0.008)
