"""Observed order of convergence on Gaussian data, whose flow is known in closed form."""

import math

import pytest
import torch
from analytic_flows import GaussianFlow, state_at
from noise_schedules import SCHEDULES

from core.noise.prediction import KINDS
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS

EXPECTED = {
    ("euler", 2): 1,
    ("dpm", 1): 1,
    ("dpm", 2): 2,
    (
        "dpm",
        3,
    ): 2,  # its first step is of first order, which bounds the whole: third order shows in the size of the error
    ("unipc", 1): 2,  # the corrector adds one
    ("unipc", 2): 2,
    ("unipc", 3): 3,
    ("rk4", 2): 4,
}


def error(name, kind, sampler, order, steps, source=900, target=200):
    """Largest distance of a rollout's landing from where the exact flow carries the same source."""
    schedule = SCHEDULES[name]
    flow = GaussianFlow(schedule, kind)
    clean, noise = torch.randn((2, 1, 64), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    u, t = torch.tensor([source], dtype=torch.float64), torch.tensor([target], dtype=torch.float64)
    plan = RolloutPlan(source=u, target=t, steps=torch.tensor([steps]))
    result = roll(flow, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    return float((result.rolled - flow.carried(state_at(clean, noise, u, schedule), u, t)).abs().max())


@pytest.mark.parametrize("name", ["stable_diffusion", "flow"])
@pytest.mark.parametrize(("sampler", "order"), EXPECTED)
def test_the_error_falls_with_the_samplers_order(name, sampler, order):
    few = 8 if sampler == "rk4" else 128
    coarse, fine = (error(name, "v_prediction", sampler, order, steps) for steps in (few, 4 * few))
    assert math.log2(coarse / fine) / 2 > EXPECTED[sampler, order] - 0.15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sampler", "order"), [("unipc", 2), ("euler", 2), ("dpm", 2), ("rk4", 2)])
def test_every_kind_follows_the_flow(kind, sampler, order):
    coarse, fine = (error("stable_diffusion", kind, sampler, order, steps) for steps in (10, 40))
    assert fine < 0.02
    assert fine < coarse / 3


@pytest.mark.parametrize("name", ["zero_terminal", "flow"])
@pytest.mark.parametrize(("sampler", "order"), EXPECTED)
def test_from_pure_noise_the_error_falls_too(name, sampler, order):
    schedule = SCHEDULES[name]
    coarse, fine = (
        error(name, "v_prediction", sampler, order, steps, source=schedule.last, target=100) for steps in (10, 80)
    )
    assert fine < coarse / 3


@pytest.mark.parametrize("name", ["stable_diffusion", "flow"])
@pytest.mark.parametrize(("sampler", "order"), [("dpm", 2), ("dpm", 3), ("unipc", 2), ("unipc", 3)])
def test_a_higher_order_is_far_closer_at_equal_calls(name, sampler, order):
    assert error(name, "v_prediction", sampler, order, 32) < error(name, "v_prediction", "euler", 2, 32) / 10


@pytest.mark.parametrize("name", ["stable_diffusion", "flow"])
def test_the_straight_coordinates_bend_no_line(name):
    """Data at one point: the flow is the straight line that every sampler must follow in a single step."""
    schedule = SCHEDULES[name]
    flow = GaussianFlow(schedule, "v_prediction", mean=0.7, spread=0.0)
    state = torch.tensor([[1.3]], dtype=torch.float64)
    u, t = torch.tensor([900.0], dtype=torch.float64), torch.tensor([100.0], dtype=torch.float64)
    clean = torch.full_like(state, 0.7)
    noise = (state - schedule.alpha(u) * clean) / schedule.sigma(u)
    plan = RolloutPlan(source=u, target=t, steps=torch.tensor([1]))
    for sampler in SAMPLERS:
        landed = roll(flow, clean, noise, plan, schedule=schedule, kind="v_prediction", sampler=sampler).rolled
        torch.testing.assert_close(landed, flow.carried(state, u, t), rtol=1e-6, atol=1e-6)
