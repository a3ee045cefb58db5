"""The landing test: a model that knows the clean latent is carried to exactly the teacher-forced state."""

import pytest
import torch
from analytic_flows import NoiseBlindOracle, Oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from noise_schedules import SCHEDULES

from core.noise.prediction import KINDS
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import ORDERS, SAMPLERS

SAMPLER_ORDERS = [
    (name, order) for name, entry in SAMPLERS.items() for order in (ORDERS if entry.takes_order else (2,))
]
LENGTHS = [(1, 1), (10, 1), (4, 25), (3, 125), (10, 99), (2, 499), (1, 998)]


def latents(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((2, batch, 4, 4, 4), generator=generator)


def plan_of(schedule, kind, lengths):
    """For every length one rollout from the noisy end, one from the middle and one to the clean end."""
    last = schedule.last - (1 if kind == "epsilon" and schedule.ends_in_pure_noise else 0)
    ends = [(max(end, k * stride), k, stride) for k, stride in lengths for end in (last, 617, k * stride)]
    source = torch.tensor([end for end, _, _ in ends])
    steps = torch.tensor([k for _, k, _ in ends])
    stride = torch.tensor([stride for _, _, stride in ends])
    return RolloutPlan(source=source, target=source - steps * stride, steps=steps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("sampler", "order"), SAMPLER_ORDERS)
def test_a_model_that_knows_the_pair_lands_exactly(name, kind, sampler, order):
    schedule = SCHEDULES[name]
    plan = plan_of(schedule, kind, LENGTHS)
    clean, noise = latents(len(plan.steps))
    oracle = Oracle(clean, noise, schedule, kind)
    result = roll(oracle, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    assert result.rolled.dtype == torch.float32
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["stable_diffusion", "zero_terminal", "flow"])
@pytest.mark.parametrize(("sampler", "order"), SAMPLER_ORDERS)
def test_a_model_that_knows_only_the_clean_latent_lands_exactly(name, kind, sampler, order):
    schedule = SCHEDULES[name]
    # it works its noise out of float32 states: an epsilon prediction divides the rounding by alpha
    top = 900 if kind == "epsilon" else schedule.last
    source = torch.tensor([top, top, 617, 380])
    steps, stride = torch.tensor([10, 4, 3, 3]), torch.tensor([1, 25, 125, 125])
    plan = RolloutPlan(source=source, target=source - steps * stride, steps=steps)
    clean, noise = latents(4)
    oracle = NoiseBlindOracle(clean, schedule, kind)
    result = roll(oracle, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_plan_lands(name, data):
    schedule = SCHEDULES[name]
    kind = data.draw(st.sampled_from(KINDS))
    sampler, order = data.draw(st.sampled_from(SAMPLER_ORDERS))
    top = schedule.last - (1 if kind == "epsilon" and schedule.ends_in_pure_noise else 0)
    sources, targets, steps = [], [], []
    for _ in range(data.draw(st.integers(1, 5))):
        source = data.draw(st.one_of(st.just(float(top)), st.floats(2.0, float(top))))
        sources.append(source)
        targets.append(data.draw(st.one_of(st.just(0.0), st.floats(0.5, source - 1.0))))
        steps.append(data.draw(st.integers(0, 6)))
    plan = RolloutPlan(
        source=torch.tensor(sources, dtype=torch.float64),
        target=torch.tensor(targets, dtype=torch.float64),
        steps=torch.tensor(steps),
    )
    clean, noise = latents(len(steps), seed=data.draw(st.integers(0, 99)))
    oracle = Oracle(clean, noise, schedule, kind)
    result = roll(oracle, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)
    assert torch.equal(result.rolled[plan.steps == 0], result.noisy[plan.steps == 0])
    assert result.calls == max(steps) * SAMPLERS[sampler].calls_per_step
    assert result.sample_forwards == sum(steps) * SAMPLERS[sampler].calls_per_step


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_rollout_on_a_grid_lands(sampler):
    schedule = SCHEDULES["flow"]
    grid = torch.tensor([100.0, 180.0, 400.0, 650.0, 1000.0])
    plan = RolloutPlan(
        source=torch.tensor([825.0, 1000.0]), target=torch.tensor([140.0, 100.0]), steps=torch.tensor([3, 4]), grid=grid
    )
    clean, noise = latents(2)
    oracle = Oracle(clean, noise, schedule, "flow_matching")
    result = roll(oracle, clean, noise, plan, schedule=schedule, kind="flow_matching", sampler=sampler)
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["zero_terminal", "flow"])
def test_epsilon_cannot_start_from_pure_noise(name):
    schedule = SCHEDULES[name]
    clean, noise = latents(1)
    plan = RolloutPlan(source=torch.tensor([schedule.last]), target=torch.tensor([500]), steps=torch.tensor([1]))
    oracle = Oracle(clean, noise, schedule, "epsilon")
    with pytest.raises(ValueError, match=f"source must lie below timestep {schedule.last} for an epsilon prediction"):
        roll(oracle, clean, noise, plan, schedule=schedule, kind="epsilon")
    resting = RolloutPlan(source=plan.source, target=plan.source, steps=torch.tensor([0]))
    assert roll(oracle, clean, noise, resting, schedule=schedule, kind="epsilon").calls == 0
