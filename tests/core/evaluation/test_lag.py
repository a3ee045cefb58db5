"""M2: a true state of another timestep lags by the grid steps between the two."""

import math

import pytest
import torch
from analytic_flows import state_at
from noise_schedules import SCHEDULES

from core.evaluation.lag import lag, lag_residual, mixture

UNEVEN = torch.tensor([20.0, 60.0, 150.0, 300.0, 500.0, 700.0, 850.0, 950.0])


def pairs(count=4, side=16, strength=0.7):
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(count, 4, side, side, generator=generator) for _ in range(2))
    return strength * clean + 0.2, noise


def found(schedule, states, timestep, clean, noise, grid=UNEVEN):
    return lag(states, clean, noise, timestep, schedule=schedule, grid=grid)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(
    ("here", "steps"), [(0, 0), (0, 1), (0, 2), (3, -3), (3, -1), (3, 2), (7, -3), (7, -1), (7, 0)]
)
def test_the_true_state_of_another_grid_point_lags_by_the_steps_between(name, here, steps):
    schedule, (clean, noise) = SCHEDULES[name], pairs()
    states = state_at(clean, noise, UNEVEN[here + steps].expand(4), schedule)
    assert found(schedule, states, float(UNEVEN[here]), clean, noise) == pytest.approx(steps, abs=1e-3)


def test_between_grid_points_the_lag_is_the_distance_in_sigma_over_their_spacing():
    schedule, (clean, noise) = SCHEDULES["flow"], pairs()
    states = state_at(clean, noise, torch.full((4,), 540.0), schedule)
    assert found(schedule, states, 500.0, clean, noise) == pytest.approx(40 / 200, abs=1e-4)
    assert found(schedule, states, 700.0, clean, noise) == pytest.approx(-160 / 200, abs=1e-4)


def test_beyond_the_ends_of_the_grid_the_last_spacing_counts():
    schedule, (clean, noise) = SCHEDULES["flow"], pairs()
    above = state_at(clean, noise, torch.full((4,), 1000.0), schedule)
    assert found(schedule, above, 950.0, clean, noise) == pytest.approx(50 / 100, abs=1e-4)
    beyond_clean = clean + 0.01 * (clean - noise)
    assert found(schedule, beyond_clean, 20.0, clean, noise) == pytest.approx(-1.5, abs=1e-3)


def test_the_clean_latent_itself_is_one_step_below_the_cleanest_grid_point():
    clean, noise = pairs()
    for schedule in SCHEDULES.values():
        assert found(schedule, clean, 20.0, clean, noise) == pytest.approx(-1.0, abs=1e-3)


@pytest.mark.parametrize("name", ["flow", "stable_diffusion"])
def test_too_little_of_the_clean_latent_is_behind_and_too_little_noise_ahead(name):
    schedule, (clean, noise) = SCHEDULES[name], pairs()
    at = torch.tensor([500.0])
    alpha, sigma = schedule.alpha(at), schedule.sigma(at)
    assert found(schedule, 0.9 * alpha * clean + sigma * noise, 500.0, clean, noise) > 0.01
    assert found(schedule, alpha * clean + 0.9 * sigma * noise, 500.0, clean, noise) < -0.01


def test_a_variance_preserving_lag_is_blind_to_a_common_scale():
    schedule, (clean, noise) = SCHEDULES["stable_diffusion"], pairs()
    states = 0.8 * state_at(clean, noise, torch.full((4,), 700.0), schedule)
    assert found(schedule, states, 500.0, clean, noise) == pytest.approx(1.0, abs=1e-3)


def test_the_mixture_is_told_apart_even_where_latents_and_noise_are_alike():
    clean, noise = pairs()
    noise = noise + 0.5 * clean
    got = mixture(0.3 * clean + 0.9 * noise, clean, noise)
    assert (got.signal, got.noise) == (pytest.approx(0.3, abs=1e-4), pytest.approx(0.9, abs=1e-4))
    assert got.residual < 1e-5


def test_the_residual_is_the_new_structure_over_the_strength_of_a_state():
    clean, noise = pairs(side=64)
    new = torch.randn(clean.shape, generator=torch.Generator().manual_seed(9))
    strength = math.sqrt(0.36 * clean.square().mean().item() + 0.64)
    states = 0.6 * clean + 0.8 * noise
    assert lag_residual(states, clean, noise, 0.6, 0.8) < 1e-5
    assert lag_residual(states + 0.1 * new, clean, noise, 0.6, 0.8) == pytest.approx(0.1 / strength, rel=0.02)
    assert lag_residual(1.5 * states, clean, noise, 0.6, 0.8) < 1e-5


def test_clean_latents_of_nothing_tell_no_angle():
    noise = pairs()[1]
    assert math.isnan(found(SCHEDULES["stable_diffusion"], noise, 500.0, torch.zeros_like(noise), noise))
