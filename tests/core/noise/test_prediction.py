"""Predictions: every kind leads back to the same clean latent, noise and velocity."""

import pytest
import torch
from noise_schedules import SCHEDULES

from core.noise.prediction import KINDS, add_noise, pair_target, to_clean, to_noise, to_velocity


def pair(schedule, timesteps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn((2, len(timesteps), 4, 3, 3), dtype=torch.float64, generator=generator)
    t = torch.tensor(timesteps, dtype=torch.float64)
    weights = {"alpha": schedule.alpha(t), "sigma": schedule.sigma(t)}
    return clean, noise, weights


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_right_prediction_leads_to_the_pair(name, kind):
    clean, noise, weights = pair(SCHEDULES[name], [1, 400, 777.5, 998])
    noisy = add_noise(clean, noise, **weights)
    prediction = pair_target(clean, noise, **weights, kind=kind)
    torch.testing.assert_close(to_clean(prediction, noisy, **weights, kind=kind), clean)
    torch.testing.assert_close(to_noise(prediction, noisy, **weights, kind=kind), noise)
    torch.testing.assert_close(to_velocity(prediction, noisy, **weights, kind=kind), noise - clean)


@pytest.mark.parametrize("kind", ["v_prediction", "sample", "flow_matching"])
@pytest.mark.parametrize("name", ["zero_terminal", "flow"])
def test_pure_noise_still_tells_the_clean_latent(name, kind):
    clean, noise, weights = pair(SCHEDULES[name], [SCHEDULES[name].last])
    assert weights["alpha"] == 0
    prediction = pair_target(clean, noise, **weights, kind=kind)
    torch.testing.assert_close(to_clean(prediction, add_noise(clean, noise, **weights), **weights, kind=kind), clean)


def test_what_has_no_answer_is_zero_and_never_nan():
    schedule = SCHEDULES["flow"]
    clean, noise, weights = pair(schedule, [0, 1000])
    noisy = add_noise(clean, noise, **weights)
    estimate = to_clean(noise, noisy, **weights, kind="epsilon")
    assert torch.equal(estimate[0], clean[0])
    assert torch.equal(estimate[1], torch.zeros_like(clean[1]))
    estimate = to_noise(clean, noisy, **weights, kind="sample")
    assert torch.equal(estimate[0], torch.zeros_like(noise[0]))
    assert torch.equal(estimate[1], noise[1])


def test_formulas_agree_with_the_scheduler_of_diffusers():
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    schedule = SCHEDULES["stable_diffusion"]
    clean, noise, _ = pair(schedule, [3, 500, 999])
    clean, noise, t = clean.float(), noise.float(), torch.tensor([3, 500, 999])
    weights = {"alpha": schedule.alpha(t), "sigma": schedule.sigma(t)}
    torch.testing.assert_close(add_noise(clean, noise, **weights), scheduler.add_noise(clean, noise, t))
    velocity = pair_target(clean, noise, **weights, kind="v_prediction")
    torch.testing.assert_close(velocity, scheduler.get_velocity(clean, noise, t), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("weight", [torch.tensor(0.6), torch.tensor([0.6, 0.6]), torch.full((2, 1, 1), 0.6)])
def test_weights_may_be_one_number_a_number_an_item_or_already_shaped(weight):
    noisy = torch.arange(12.0).reshape(2, 3, 2)
    result = to_clean(noisy, noisy, alpha=weight, sigma=weight / 2, kind="epsilon")
    torch.testing.assert_close(result, (noisy - 0.3 * noisy) / 0.6)


def test_half_precision_predictions_are_worked_on_in_float32():
    prediction = torch.ones(2, 3, dtype=torch.bfloat16)
    result = to_clean(prediction, torch.ones(2, 3), alpha=torch.ones(2), sigma=torch.ones(2), kind="flow_matching")
    assert result.dtype == torch.float32


@pytest.mark.parametrize("function", [to_clean, to_noise])
def test_an_unknown_kind_is_named(function):
    x = torch.ones(1, 2)
    with pytest.raises(ValueError, match="epsilon, v_prediction, sample, flow_matching, got 'velocity'"):
        function(x, x, alpha=torch.ones(1), sigma=torch.ones(1), kind="velocity")
