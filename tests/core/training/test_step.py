"""The micro-step: no gradient comes from the rollout, no dropout happens in it, and the loss is what it says."""

import pytest
import torch
from noise_schedules import SCHEDULES
from tiny_networks import TinyDenoiser
from torch import nn

from core.noise.denoiser import evaluation_mode
from core.noise.prediction import KINDS, pair_target
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.target import training_target
from core.training.batches import Batch
from core.training.objective import squared_error
from core.training.step import StepOptions, micro_step

STEPS = [3, 0, 1, 2]


def batch_of(steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count, steps = len(steps), torch.tensor(steps)
    clean, noise = (torch.randn(count, 4, 4, 4, generator=generator) for _ in range(2))
    target = torch.tensor([200, 300, 400, 500])[:count]
    plan = RolloutPlan(source=target + 50 * steps, target=target, steps=steps)
    return Batch(clean, noise, torch.zeros(count, 1), plan, torch.full((count,), 1 / count))


def step_options(kind="v_prediction", **changes):
    schedule = SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]
    values = {"sampler": "euler", "order": 1, "target": "anchored", "snr_gamma": None, "m2": 1.0}
    return StepOptions(schedule=schedule, kind=kind, **{**values, **changes})


def predict(network, noisy, timestep, condition):
    return network(noisy, timestep)


def gradients(network):
    return [parameter.grad.clone() for parameter in network.parameters()]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TinyDenoiser(dropout=0.0).train()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["anchored", "original"])
def test_the_gradient_is_that_of_training_on_a_detached_state(network, kind, target):
    batch, options = batch_of(STEPS), step_options(kind, target=target)
    outcome = micro_step(network, predict, batch, options)
    outcome.loss.backward()
    mine = gradients(network)
    network.zero_grad()

    def denoiser(noisy, timestep, items):
        return network(noisy, timestep).detach()

    schedule, timestep = options.schedule, batch.plan.target
    rolled = roll(denoiser, batch.clean, batch.noise, batch.plan, schedule=schedule, kind=kind, sampler="euler").rolled
    alpha, sigma = schedule.alpha(timestep), schedule.sigma(timestep)
    aim = training_target(
        target, rolled, batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=kind, steps=batch.plan.steps
    )
    loss = squared_error(network(rolled, timestep), aim).mean()
    loss.backward()
    assert outcome.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(mine, gradients(network), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


class Spy(nn.Module):
    """Notes in which mode, and with or without gradient, it was asked."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = TinyDenoiser(dropout=0.5), []

    def forward(self, noisy, timestep):
        self.seen.append((self.inner.dropout.training, torch.is_grad_enabled(), len(noisy)))
        return self.inner(noisy, timestep)


def test_dropout_and_gradient_are_on_in_the_trained_forward_only():
    spy = Spy().train()
    outcome = micro_step(spy, predict, batch_of(STEPS), step_options())
    assert spy.seen == [(False, False, 3), (False, False, 2), (False, False, 1), (True, True, 4)]
    assert (outcome.calls, outcome.forwards) == (3, 6)
    assert spy.inner.dropout.training


def test_a_part_that_was_in_evaluation_mode_stays_there():
    spy = Spy().train()
    spy.inner.dropout.eval()
    micro_step(spy, predict, batch_of(STEPS), step_options())
    assert not spy.inner.dropout.training


def test_a_rollout_does_not_move_the_dropout_of_the_trained_forward():
    """The global generator, which dropout draws from, is not touched in between."""

    def random_numbers_after(steps):
        torch.manual_seed(5)
        with evaluation_mode(nn.Identity()):
            micro_step(Spy().eval(), predict, batch_of(steps), step_options())
        torch.manual_seed(5)
        network = Spy().train()
        torch.manual_seed(6)
        micro_step(network, predict, batch_of(steps), step_options())
        return torch.rand(3)

    assert torch.equal(random_numbers_after([0, 0, 0, 0]), random_numbers_after(STEPS))


def test_without_a_rollout_the_loss_is_the_pairs_own(network):
    batch, options = batch_of([0, 0, 0, 0]), step_options("epsilon")
    outcome = micro_step(network, predict, batch, options)
    timestep = batch.plan.target
    alpha, sigma = options.schedule.alpha(timestep), options.schedule.sigma(timestep)
    noisy = alpha.view(-1, 1, 1, 1) * batch.clean + sigma.view(-1, 1, 1, 1) * batch.noise
    aim = pair_target(batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind="epsilon")
    assert outcome.loss.item() == pytest.approx((network(noisy, timestep) - aim).square().mean().item(), rel=1e-5)
    assert outcome.drift is None
    assert (outcome.calls, outcome.forwards) == (0, 0)


def test_items_that_were_not_rolled_have_the_same_error_in_both_arms(network):
    rolled = micro_step(network, predict, batch_of(STEPS), step_options())
    plain = micro_step(network, predict, batch_of([0, 0, 0, 0]), step_options())
    assert rolled.errors[1].item() == pytest.approx(plain.errors[1].item(), rel=1e-5)
    assert not torch.allclose(rolled.errors, plain.errors)


def test_the_weights_of_the_items_make_the_loss(network):
    batch = batch_of(STEPS)
    weight = torch.tensor([1.0, 0.0, 0.5, 0.0])
    outcome = micro_step(
        network, predict, Batch(batch.clean, batch.noise, batch.condition, batch.plan, weight), step_options()
    )
    assert outcome.loss.item() == pytest.approx((outcome.errors * weight).sum().item(), rel=1e-5)


def test_min_snr_weights_come_from_the_trained_timestep(network):
    batch, options = batch_of(STEPS), step_options("v_prediction", snr_gamma=0.4)
    outcome = micro_step(network, predict, batch, options)
    alpha, sigma = (f(batch.plan.target).double() for f in (options.schedule.alpha, options.schedule.sigma))
    snr = (alpha / sigma).square()
    expected = (outcome.errors.double() * snr.clamp(max=0.4) / (snr + 1)).mean()
    assert outcome.loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_longer_rollout_drifts_further(network):
    drifts = [micro_step(network, predict, batch_of([k] * 4), step_options()).drift.item() for k in (1, 2, 4)]
    assert drifts == sorted(drifts)
    assert drifts[0] > 0
