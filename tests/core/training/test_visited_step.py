"""The visited micro-step: every forward is trained on, shares make the loss, and gradients meet once."""

from contextlib import contextmanager

import pytest
import torch
from micro_steps import batch_of, gradients, predict, step_options, trainer_of
from tiny_networks import TinyDenoiser
from torch import nn

from core.noise.prediction import KINDS, add_noise, pair_target, to_clean
from core.rollout.reflexflow import ReflexFlow
from core.rollout.target import training_target
from core.training.step import Trainer, fresh_step
from core.training.visited_step import visited_step

STEPS = [3, 0, 1, 2]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TinyDenoiser(dropout=0.0).train()


class Spy(nn.Module):
    """Notes with how many items, and with or without gradient, it was asked."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = TinyDenoiser(dropout=0.0), []

    def forward(self, noisy, timestep):
        self.seen.append((len(noisy), torch.is_grad_enabled()))
        return self.inner(noisy, timestep)


def test_every_forward_is_trained_on():
    spy = Spy()
    outcome = visited_step(trainer_of(spy), batch_of(STEPS), step_options())
    assert spy.seen == [(4, True), (3, True), (2, True), (1, True)]
    assert (outcome.trained, outcome.calls, outcome.forwards) == (10, 0, 0)


def test_reflexflow_adds_one_clean_forward_for_each_rolled_state():
    spy = Spy()
    term = ReflexFlow(alpha=1.0, beta1=10.0, beta2=1.0)
    outcome = visited_step(trainer_of(spy), batch_of(STEPS), step_options("flow_matching", reflexflow=term))
    clean = [count for count, with_gradient in spy.seen if not with_gradient]
    assert clean == [3, 2, 1]
    assert (outcome.trained, outcome.calls, outcome.forwards) == (10, 3, 6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_rollout_it_is_the_fresh_step_bit_for_bit(network, kind):
    batch, options = batch_of([0, 0, 0, 0]), step_options(kind)
    fresh = fresh_step(trainer_of(network), batch, options)
    expected = gradients(network)
    visited = visited_step(trainer_of(network), batch, options)
    assert torch.equal(fresh.loss, visited.loss)
    assert all(torch.equal(a, b) for a, b in zip(expected, gradients(network), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["anchored", "original"])
def test_the_gradient_is_that_of_all_states_at_once(network, kind, target):
    """Written out by hand for one item of two Euler steps: 300 from its pair, then 250 and 200 from itself."""
    batch, options = batch_of([2]), step_options(kind, target=target)
    shares = torch.tensor([[0.5], [0.3], [0.2]])
    batch = type(batch)(batch.clean, batch.noise, batch.condition, batch.plan, batch.weight, shares, batch.group)
    outcome = visited_step(trainer_of(network), batch, options)
    mine = gradients(network)
    schedule = options.objective.schedule
    times = [torch.tensor([float(t)]) for t in (300, 250, 200)]
    state, loss = None, 0.0
    for depth, t in enumerate(times):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        state = add_noise(batch.clean, batch.noise, alpha=alpha, sigma=sigma) if state is None else state
        pair = pair_target(batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=kind)
        own = training_target(target, state, batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=kind)
        prediction = network(state, t)
        loss = loss + shares[depth, 0] * (prediction - (own if depth > 0 else pair)).square().mean()
        if depth < 2:
            estimate = to_clean(prediction.detach(), state, alpha=alpha, sigma=sigma, kind=kind)
            a, s = schedule.alpha(times[depth + 1]), schedule.sigma(times[depth + 1])
            shrink = (s / sigma).view(-1, 1, 1, 1)
            state = shrink * state + (a.view(-1, 1, 1, 1) - alpha.view(-1, 1, 1, 1) * shrink) * estimate
    loss.backward()
    assert outcome.loss.item() == pytest.approx(loss.item(), rel=1e-4)
    for a, b in zip(mine, gradients(network), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_gradients_are_held_back_at_all_but_the_last_depth(network):
    """Other processes have other depths: each sends its gradients exactly once."""
    events = []

    @contextmanager
    def held_back():
        events.append("held")
        yield
        events.append("let go")

    def backward(loss):
        events.append("backward")
        loss.backward()

    visited_step(Trainer(network, network, predict, backward, held_back), batch_of([2, 1]), step_options())
    assert events == ["held", "backward", "let go"] * 2 + ["backward"]


def test_live_drift_of_the_rolled_states_is_measured_against_their_own_true_states(network):
    means = visited_step(trainer_of(network), batch_of(STEPS), step_options()).tally.means()
    assert means["m1_squared"] > 0
    assert means["energy_rolled"] != means["energy_true"]


class Knows(nn.Module):
    """Believes in one clean latent, scaled; v-prediction on the noise schedule it is given."""

    def __init__(self, clean, schedule, scale=1.0):
        super().__init__()
        self.clean, self.schedule, self.weight = clean, schedule, nn.Parameter(torch.tensor(scale))

    def forward(self, noisy, timestep):
        a, s = (f(timestep).view(-1, 1, 1, 1) for f in (self.schedule.alpha, self.schedule.sigma))
        return (a * noisy - self.weight * self.clean[: len(noisy)]) / s


def test_live_g2_is_zero_for_a_model_that_knows_and_negative_for_errors_that_are_not_carried(network):
    options, batch = step_options(), batch_of([2, 2])
    schedule = options.objective.schedule
    knows = visited_step(trainer_of(Knows(batch.clean, schedule)), batch, options)
    assert knows.tally.means()["rollout_g2"] == pytest.approx(0.0, abs=1e-9)
    bent = visited_step(trainer_of(network), batch, options)
    assert bent.tally.means()["rollout_g2"] != pytest.approx(0.0, abs=1e-6)
