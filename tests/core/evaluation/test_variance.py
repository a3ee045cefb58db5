"""V on the way: what the exact flow map, a planted loss and Euler's own error are found to be."""

import math

import pytest
import torch
from analytic_flows import FlowMap, GaussianFlow, euler_factor, state_at
from noise_schedules import SCHEDULES

from core.evaluation.drift import paired_probe
from core.evaluation.paths import free_running_path
from core.evaluation.variance import state_channel_log_variance, state_log_variance

PAIRS = 32
LOSS = 0.02
KINDS_AND_SCHEDULES = [("flow_matching", "flow"), ("v_prediction", "zero_terminal"), ("epsilon", "stable_diffusion")]


def grid_of(schedule, points=28):
    return torch.linspace(schedule.last / points, schedule.last, points)


def latents(side, seed, count=PAIRS):
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(seed))


def standard_error(side):
    """Of V: of the mean of P d squares of normal numbers."""
    return math.sqrt(2 / (PAIRS * 4 * side * side))


def free_v(denoiser, kind, schedule, grid, side, seed=0):
    path = free_running_path(denoiser, latents(side, seed), schedule=schedule, kind=kind, grid=grid)
    place = schedule.place(grid)
    weights = zip(path.states, place.alpha.tolist(), place.sigma.tolist(), strict=True)
    return [state_log_variance(states, alpha, sigma, 1.0) for states, alpha, sigma in weights]


@pytest.mark.parametrize(("kind", "name"), KINDS_AND_SCHEDULES)
def test_v_of_the_exact_flow_map_is_zero_within_monte_carlo_error(kind, name):
    """The latent size is the embedded base's: 4 x 16 x 16."""
    schedule = SCHEDULES[name]
    grid = grid_of(schedule)
    flow = FlowMap(GaussianFlow(schedule, kind, mean=0.0, spread=1.0), grid)
    assert max(abs(v) for v in free_v(flow, kind, schedule, grid, side=16)) < 3 * standard_error(16)
    clean, noise = latents(16, 1), latents(16, 2)
    found = paired_probe(flow, clean, noise, schedule=schedule, kind=kind, grid=grid)
    assert max(abs(v) for v in found.v) < 3 * standard_error(16)


def test_a_planted_loss_of_two_percent_is_found_with_32_pairs():
    """At 4 x 32 x 32 the standard error is 0.4 %: five times as small as the loss, on one arm alone."""
    schedule = SCHEDULES["flow"]
    grid, side = grid_of(schedule), 32
    whole = GaussianFlow(schedule, "flow_matching", mean=0.0, spread=1.0)
    lossy = FlowMap(whole, grid, keep=(1 - LOSS) ** (1 / (len(grid) - 1)))
    assert standard_error(side) * 5 < LOSS
    assert abs(free_v(FlowMap(whole, grid), "flow_matching", schedule, grid, side)[0]) < 3 * standard_error(side)
    end = free_v(lossy, "flow_matching", schedule, grid, side)[0]
    assert end == pytest.approx(math.log(1 - LOSS), abs=3 * standard_error(side))
    assert end < -2 * standard_error(side)


@pytest.mark.parametrize(("kind", "name"), KINDS_AND_SCHEDULES)
def test_two_arms_with_equal_noises_show_the_loss_exactly(kind, name):
    """At the embedded base's latent size one arm knows V to 0.8 % only; the noise cancels in the difference."""
    schedule = SCHEDULES[name]
    grid = grid_of(schedule)
    whole = GaussianFlow(schedule, kind, mean=0.0, spread=1.0)
    lossy = FlowMap(whole, grid, keep=(1 - LOSS) ** (1 / (len(grid) - 1)))
    ends = [free_v(flow, kind, schedule, grid, side=16)[0] for flow in (lossy, FlowMap(whole, grid))]
    assert ends[0] - ends[1] == pytest.approx(math.log(1 - LOSS), abs=2e-4)


@pytest.mark.parametrize(("steps", "loss"), [(28, 0.09), (8, 0.32)])
def test_eulers_own_v_for_a_unit_gaussian_is_the_known_one(steps, loss):
    schedule = SCHEDULES["flow"]
    flow = GaussianFlow(schedule, "flow_matching", mean=0.0, spread=1.0)
    grid, noise = grid_of(schedule, steps), latents(8, 3)
    path = free_running_path(flow, noise, schedule=schedule, kind="flow_matching", grid=grid)
    end = torch.log(path.estimates[0].square().mean() / noise.square().mean()).item()
    sigmas = [place / steps for place in range(steps, -1, -1)]
    assert end == pytest.approx(2 * math.log(euler_factor(sigmas)), abs=1e-4) == pytest.approx(-loss, abs=0.005)


def test_the_channel_that_shrank_is_found_on_the_way():
    clean, noise = latents(32, 4), latents(32, 5)
    schedule, scale = SCHEDULES["stable_diffusion"], torch.tensor([1.0, 0.8, 1.0, 1.25])
    t = torch.full((PAIRS,), 400.0)
    states = state_at(clean, noise, t, schedule) * scale.view(1, -1, 1, 1)
    alpha, sigma = schedule.alpha(t)[0].item(), schedule.sigma(t)[0].item()
    found = state_channel_log_variance(states, clean, alpha, sigma)
    assert found == pytest.approx((2 * scale.log()).tolist(), abs=0.03)


def test_each_channel_is_held_against_its_own_strength():
    clean, noise = latents(32, 4) * torch.tensor([1.0, 3.0, 0.2, 0.0]).view(1, -1, 1, 1), latents(32, 5)
    found = state_channel_log_variance(0.8 * clean + 0.6 * noise, clean, 0.8, 0.6)
    assert found == pytest.approx([0.0] * 4, abs=0.05)
    assert state_log_variance(0.8 * clean + 0.6 * noise, 0.8, 0.6, clean.square().mean().item()) == pytest.approx(
        0.0, abs=0.03
    )
