"""The recovery gap: zero for the exact denoiser, of the right sign when it shrinks or inflates."""

from itertools import pairwise

import pytest
import torch
from analytic_flows import GaussianFlow, NoiseBlindOracle, Oracle, ScaledFlow
from noise_schedules import SCHEDULES

from core.evaluation.recovery import recovery, recovery_gaps
from core.noise.prediction import KINDS

GRID = torch.linspace(50, 950, 19)
MEAN, SPREAD = 0.4, 0.5


def schedule_of(kind):
    return SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]


def pairs(count=64, side=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(count, 4, side, side, generator=generator) for _ in range(2))
    return MEAN + SPREAD * clean, noise


def gaps(denoiser, clean, noise, kind, **changes):
    values = {"schedule": schedule_of(kind), "kind": kind, "grid": GRID}
    return recovery(denoiser, clean, noise, **{**values, **changes})


def scaled(kind, scale):
    return ScaledFlow(GaussianFlow(schedule_of(kind), kind, MEAN, SPREAD), scale)


def sampling_error(g1, g2, elements):
    """Four standard errors of `G2 = 2 mean <D(x̂)-D(x_u), D(x_u)-x0>`; G1 - G2 is the mean square of the first."""
    return 4 * 2 * (g1 - g2) ** 0.5 * SPREAD / elements**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_g2_of_the_exact_denoiser_is_zero_within_its_sampling_error(kind):
    clean, noise = pairs()
    found = gaps(scaled(kind, 1.0), clean, noise, kind)
    for g1, g2 in zip(found.g1, found.g2, strict=True):
        assert abs(g2) < sampling_error(g1, g2, clean.numel())
        assert (g1 - g2) ** 0.5 > 1e-2  # the rollout does move the estimate: the gap is not zero for want of anything


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_g2_is_negative_for_a_shrunk_denoiser_and_positive_for_an_inflated_one(kind, scale):
    """Where the estimate still grows, that is: near the clean end a shrunk one has stopped growing."""
    found = gaps(scaled(kind, scale), *pairs(), kind, grid=GRID[4:])
    assert len(found.g2) == 5
    assert all((g2 > 1e-4) if scale > 1 else (g2 < -1e-4) for g2 in found.g2)


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_g2_of_a_scaled_denoiser_has_its_closed_form(scale):
    """D = m + c g (x - a m), and x̂ - a_t m = r (x_u - a_u m): G2 = 2 c (c - 1) (g_t r - g_u) g_u var(x_u)."""
    kind, elements = "flow_matching", 256 * 4 * 16 * 16
    found = gaps(scaled(kind, scale), *pairs(count=256), kind, reach=2)

    def gain(sigma):
        return (1 - sigma) * SPREAD**2 / ((1 - sigma) ** 2 * SPREAD**2 + sigma**2)

    effects = []
    for t, g1, g2 in zip(found.timesteps, found.g1, found.g2, strict=True):
        sigmas = [(t + 50 * step) / 1000 for step in (2, 1, 0)]
        carried = 1.0
        for here, there in pairwise(sigmas):  # Euler: x̂ = a_t D + s_t e with e = (x - a_u D) / s_u
            carried *= there / here + scale * gain(here) * ((1 - there) - (1 - here) * there / here)
        first, last = sigmas[0], sigmas[-1]
        variance = (1 - first) ** 2 * SPREAD**2 + first**2
        expected = 2 * scale * (scale - 1) * (gain(last) * carried - gain(first)) * gain(first) * variance
        assert abs(g2 - expected) < sampling_error(g1, g2, elements)
        effects.append(abs(expected) / sampling_error(g1, g2, elements))
    assert max(effects) > 4


def test_the_gaps_are_made_of_the_errors_of_the_estimates():
    clean = pairs(count=4)[0]
    own, true, before = clean + 0.5, clean - 0.3, clean + 0.1
    g0, g1, g2 = recovery_gaps(own, true, before, clean)
    assert (g0, g1) == (pytest.approx(0.25 - 0.09, rel=1e-4), pytest.approx(0.25 - 0.01, rel=1e-4))
    product = 2 * ((own - before) * (before - clean)).mean().item()
    assert g2 == pytest.approx(product, rel=1e-4) == pytest.approx(2 * 0.4 * 0.1, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_knows_the_clean_latent_has_no_gap(kind):
    clean, noise = pairs(count=4)
    found = gaps(NoiseBlindOracle(clean, schedule_of(kind), kind), clean, noise, kind)
    for values in (found.g0, found.g1, found.g2):
        assert max(abs(value) for value in values) < 1e-6


def test_g0_compares_the_rolled_state_with_the_true_one():
    """A model that errs only away from the true path: by the distance of the state from the pair's own."""
    clean, noise = pairs(count=8)
    schedule, kind = schedule_of("sample"), "sample"

    def denoiser(noisy, timestep, items):
        alpha, sigma = (f(timestep).view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
        away = (noisy - alpha * clean[items] - sigma * noise[items]).abs() > 1e-4
        return clean[items] + 0.2 * away + 0.1 * (timestep.view(-1, 1, 1, 1) > 500)

    found = gaps(denoiser, clean, noise, kind, reach=4, grid=torch.tensor([100.0, 200.0, 300.0, 400.0, 600.0]))
    assert found.timesteps == (100.0,)
    assert found.g0[0] == pytest.approx(0.04, rel=1e-3)
    assert found.g1[0] == pytest.approx(0.04 - 0.01, rel=1e-3)


def test_no_gradient_only_grid_points_and_only_the_forwards_that_are_counted():
    clean, noise = pairs(count=3)
    oracle = Oracle(clean, noise, schedule_of("epsilon"), "epsilon")
    found = gaps(oracle, clean, noise, "epsilon", reach=4, targets=5)
    true = 3  # of the targets 0, 4, 7, 10 and 14: from the other two another path begins
    assert found.forwards == sum(len(items) for items in oracle.items) == 3 * ((4 + 1) * 5 + true)
    assert not any(state.requires_grad for state in oracle.states)
    asked = {round(t, 3) for timesteps in oracle.timesteps for t in timesteps.tolist()}
    assert asked <= {round(t, 3) for t in GRID.tolist()}


def test_a_short_grid_is_probed_as_far_as_it_goes():
    clean, noise = pairs(count=2)
    oracle = Oracle(clean, noise, schedule_of("epsilon"), "epsilon")
    assert gaps(oracle, clean, noise, "epsilon", grid=torch.tensor([300.0, 900.0])).timesteps == (300.0,)


def test_a_grid_of_one_point_is_refused():
    clean, noise = pairs(count=2)
    oracle = Oracle(clean, noise, schedule_of("epsilon"), "epsilon")
    with pytest.raises(ValueError, match="two points"):
        gaps(oracle, clean, noise, "epsilon", grid=torch.tensor([300.0]))
