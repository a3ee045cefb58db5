"""M3b: the noise norm of scaled noise, for every kind of prediction."""

import pytest
import torch
from analytic_flows import state_at
from noise_schedules import SCHEDULES

from core.evaluation.epsilon_norm import epsilon_norm
from core.evaluation.view import view_of
from core.noise.prediction import KINDS, pair_target


def latents(seed, count=6):
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.97, 1.0, 1.02])
def test_scaled_noise_has_a_scaled_norm(scale):
    noise = latents(0)
    assert epsilon_norm(scale * noise, noise) == pytest.approx(scale - 1, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_is_read_out_of_every_kind_of_prediction(kind):
    """A network that believes in the noise scaled by 1.02, told in its own terms."""
    schedule, clean, noise = (
        SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"],
        latents(1),
        latents(2),
    )
    place = schedule.place(torch.full((6,), 350.0))
    states = state_at(clean, noise, place.timestep, schedule)
    believed = 1.02 * noise
    implied = (states - place.sigma.view(-1, 1, 1, 1) * believed) / place.alpha.view(-1, 1, 1, 1)
    prediction = pair_target(implied, believed, alpha=place.alpha, sigma=place.sigma, kind=kind)
    view = view_of(prediction, states, place, kind)
    assert epsilon_norm(view.noise, noise) == pytest.approx(0.02, abs=1e-4)
    torch.testing.assert_close(view.clean, implied, atol=1e-4, rtol=1e-4)


def test_it_is_a_mean_of_norms_not_of_squares():
    true = torch.ones(2, 1, 2, 2)
    own = true * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert epsilon_norm(own, true) == pytest.approx(1.0)
