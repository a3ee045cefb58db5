"""The loss of each item, and the min-SNR weights against diffusers' own signal-to-noise ratio."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from noise_schedules import SCHEDULES

from core.noise.schedule import NoiseSchedule
from core.training.objective import MIN_SNR_KINDS, min_snr_weight

TIMESTEPS = torch.arange(0, 1000, 7)
FORMULAS = {
    "epsilon": lambda snr, gamma: snr.clamp(max=gamma) / snr,
    "v_prediction": lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1),
    "sample": lambda snr, gamma: snr.clamp(max=gamma),
}


def weights(schedule, kind, gamma, timesteps=TIMESTEPS):
    return min_snr_weight(schedule.alpha(timesteps), schedule.sigma(timesteps), kind, gamma)


@pytest.mark.parametrize("kind", MIN_SNR_KINDS)
@pytest.mark.parametrize("gamma", [0.5, 1.0, 5.0, 20.0])
def test_the_weights_are_those_of_diffusers_training_scripts(kind, gamma):
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    snr = compute_snr(scheduler, TIMESTEPS)
    mine = weights(NoiseSchedule.from_diffusers(scheduler), kind, gamma)
    torch.testing.assert_close(mine, FORMULAS[kind](snr, gamma), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", MIN_SNR_KINDS)
def test_the_weights_are_finite_at_both_ends(name, kind):
    schedule = SCHEDULES[name]
    found = weights(schedule, kind, 5.0, torch.tensor([0, 1, schedule.last - 1, schedule.last]))
    assert torch.isfinite(found).all()
    assert (found >= 0).all()


def test_at_zero_snr_epsilon_counts_fully_and_the_others_not_at_all():
    last = torch.tensor([SCHEDULES["zero_terminal"].last])
    found = {kind: weights(SCHEDULES["zero_terminal"], kind, 5.0, last).item() for kind in MIN_SNR_KINDS}
    assert found == {"epsilon": 1.0, "v_prediction": 0.0, "sample": 0.0}


def test_without_gamma_every_timestep_counts_alike():
    for kind in (*MIN_SNR_KINDS, "flow_matching"):
        assert torch.equal(weights(SCHEDULES["flow"], kind, None), torch.ones(len(TIMESTEPS)))


def test_flow_matching_has_no_such_weight():
    with pytest.raises(ValueError, match="epsilon, v_prediction, sample"):
        weights(SCHEDULES["flow"], "flow_matching", 5.0)
