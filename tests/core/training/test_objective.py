"""The loss of each item, and the min-SNR weights against diffusers' own signal-to-noise ratio."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from noise_schedules import SCHEDULES

from core.noise.schedule import NoiseSchedule
from core.rollout.posterior import PosteriorMean
from core.rollout.reflexflow import ReflexFlow, direction_loss
from core.training.objective import MIN_SNR_KINDS, Objective, States, min_snr_weight, state_losses
from core.training.tally import Tally

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


def states_of(rolled=(0, 2), count=3, seed=0):
    """Flow-matching states at timestep 500, some of them the model's own."""
    generator = torch.Generator().manual_seed(seed)
    noisy, true, clean, noise = (torch.randn(count, 4, 4, 4, generator=generator) for _ in range(4))
    own = torch.tensor(rolled, dtype=torch.long)
    mask = torch.zeros(count, dtype=torch.bool)
    mask[own] = True
    half = torch.full((count,), 0.5)
    group = torch.zeros(count, dtype=torch.long)
    return States(noisy, true, 1000 * half, half, half, clean, noise, group, mask, own)


def taught(target, states, reflexflow=None, posterior=None):
    """Losses and means for a prediction of random velocities."""
    objective = Objective(
        SCHEDULES["flow"],
        "flow_matching",
        target,
        None,
        1.0,
        posteriors={} if posterior is None else {posterior.shape: posterior},
        reflexflow=reflexflow,
    )
    prediction, unbiased = (torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(9 + s)) for s in range(2))
    tally = Tally()
    losses = state_losses(objective, states, prediction, unbiased[states.own] if reflexflow else None, tally)
    return losses, tally.means(), prediction


def some_pictures():
    return PosteriorMean(
        torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(3)),
        [(torch.arange(6), torch.ones(6))], torch.device("cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("target", ["anchored", "original", "posterior"])
def test_reflexflows_direction_leads_from_the_rolled_state_to_what_the_target_aims_at(target):
    states, pictures = states_of(), some_pictures()
    losses, means, velocity = taught(target, states, ReflexFlow(1.0, 2.0, 0.0), pictures)
    at = {"alpha": states.alpha, "sigma": states.sigma, "group": states.group}
    aim = pictures(states.noisy, **at).clean if target == "posterior" else states.clean
    own = states.own
    expected = direction_loss(velocity[own], states.noisy[own], aim[own])
    torch.testing.assert_close(losses[own], 2 * expected)
    assert means["reflexflow_direction"] == pytest.approx(expected.mean().item(), rel=1e-5)


@pytest.mark.parametrize("target", ["anchored", "original", "posterior"])
def test_reflexflows_weights_are_of_the_error_of_the_chosen_target(target):
    states, pictures = states_of(), some_pictures()
    plain, _, _ = taught(target, states, None, pictures)
    losses, _, _ = taught(target, states, ReflexFlow(0.0, 0.0, 1.0), pictures)
    torch.testing.assert_close(losses, plain)  # alpha 0 weights all alike
    weighted, means, _ = taught(target, states, ReflexFlow(1.0, 0.0, 1.0), pictures)
    assert means["loss_rolled"] == pytest.approx(plain[states.own].mean().item(), rel=1e-5)
    assert means["reflexflow_error"] == pytest.approx(weighted[states.own].mean().item(), rel=1e-5)
    assert not torch.isclose(weighted[states.own], plain[states.own], rtol=1e-2).any()
    assert torch.equal(weighted[~states.rolled], plain[~states.rolled])


def test_posterior_facts_are_means_over_the_rolled_states():
    states, pictures = states_of(), some_pictures()
    _, means, _ = taught("posterior", states, None, pictures)
    found = pictures(states.noisy, alpha=states.alpha, sigma=states.sigma, group=states.group)
    assert means["posterior_entropy"] == pytest.approx(found.entropy[states.own].mean().item(), rel=1e-5)
    assert means["posterior_nearest"] == pytest.approx(found.nearest[states.own].mean().item(), rel=1e-5)


def test_a_posterior_target_without_pictures_is_refused():
    with pytest.raises(ValueError, match="posteriors must have one of shape"):
        taught("posterior", states_of())


def left_half(weight, states):
    mask = torch.full_like(states.noisy[:, :1], weight)
    mask[..., :2] = 1.0
    return replace(states, mask=mask)


@pytest.mark.parametrize("reflexflow", [None, ReflexFlow(1.0, 2.0, 1.0)])
@pytest.mark.parametrize("target", ["anchored", "original"])
def test_with_weight_0_nothing_outside_the_mask_counts(target, reflexflow):
    """The losses are those of the inside alone, and its gradient is 0 outside."""
    states = left_half(0.0, states_of())
    losses, _, _ = taught(target, states, reflexflow)
    outside = {name: getattr(states, name).clone() for name in ("noisy", "teacher_forced", "clean", "noise")}
    for value in outside.values():
        value[..., 2:] += 3.0
    again, _, _ = taught(target, replace(states, **outside), reflexflow)
    torch.testing.assert_close(losses, again)
    assert not torch.allclose(losses, taught(target, replace(states, mask=None), reflexflow)[0])


@pytest.mark.parametrize("reflexflow", [None, ReflexFlow(1.0, 2.0, 1.0)])
def test_a_mask_that_is_white_or_grey_all_over_changes_nothing(reflexflow):
    """An item counts as much as any other, however its mask is."""
    states = states_of()
    plain, _, _ = taught("anchored", states, reflexflow)
    for weight in (1.0, 0.3):
        mask = torch.full_like(states.noisy[:, :1], weight)
        torch.testing.assert_close(taught("anchored", replace(states, mask=mask), reflexflow)[0], plain)


def test_the_masked_error_is_the_mean_by_weight():
    states = left_half(0.25, states_of(rolled=()))
    losses, _, prediction = taught("original", states)
    squares = (prediction - (states.noise - states.clean)).square()
    inside, outside = (squares[..., part].flatten(1).mean(1) for part in (slice(0, 2), slice(2, 4)))
    torch.testing.assert_close(losses, (inside + 0.25 * outside) / 1.25)


@pytest.mark.parametrize("reflexflow", [None, ReflexFlow(1.0, 2.0, 1.0)])
def test_a_crop_of_which_nothing_counts_has_the_loss_0(reflexflow):
    states = states_of()
    losses, _, _ = taught("anchored", replace(states, mask=torch.zeros_like(states.noisy[:, :1])), reflexflow)
    assert losses.tolist() == [0.0] * 3
