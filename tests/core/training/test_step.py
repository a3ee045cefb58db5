"""The fresh micro-step: no gradient comes from the rollout, no dropout happens in it, and the loss is what it says."""

import pytest
import torch
from micro_steps import batch_of, gradients, predict, step_options, trainer_of
from tiny_networks import TinyDenoiser
from torch import nn

from core.noise.denoiser import evaluation_mode
from core.noise.prediction import KINDS, pair_target
from core.rollout.engine import roll
from core.rollout.reflexflow import ReflexFlow
from core.rollout.target import training_target
from core.training.step import fresh_step

STEPS = [3, 0, 1, 2]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TinyDenoiser(dropout=0.0).train()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["anchored", "original"])
def test_the_gradient_is_that_of_training_on_a_detached_state(network, kind, target):
    batch, options = batch_of(STEPS), step_options(kind, target=target)
    outcome = fresh_step(trainer_of(network), batch, options)
    mine = gradients(network)

    def denoiser(noisy, timestep, items):
        return network(noisy, timestep).detach()

    schedule, timestep = options.objective.schedule, batch.plan.target
    rolled = roll(denoiser, batch.clean, batch.noise, batch.plan, schedule=schedule, kind=kind, sampler="euler").rolled
    alpha, sigma = schedule.alpha(timestep), schedule.sigma(timestep)
    aim = training_target(
        target, rolled, batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=kind, steps=batch.plan.steps
    )
    loss = (network(rolled, timestep) - aim).square().mean()
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


ROLLED = [(False, False, 3), (False, False, 2), (False, False, 1)]


def test_dropout_and_gradient_are_on_in_the_trained_forward_only():
    spy = Spy().train()
    outcome = fresh_step(trainer_of(spy), batch_of(STEPS), step_options())
    assert spy.seen == [*ROLLED, (True, True, 4)]
    assert (outcome.calls, outcome.forwards) == (3, 6)
    assert spy.inner.dropout.training


def test_a_part_that_was_in_evaluation_mode_stays_there():
    spy = Spy().train()
    spy.inner.dropout.eval()
    fresh_step(trainer_of(spy), batch_of(STEPS), step_options())
    assert not spy.inner.dropout.training


def test_a_rollout_does_not_move_the_dropout_of_the_trained_forward():
    """The global generator, which dropout draws from, is not touched in between."""

    def random_numbers_after(steps):
        torch.manual_seed(5)
        with evaluation_mode(nn.Identity()):
            fresh_step(trainer_of(Spy().eval()), batch_of(steps), step_options())
        torch.manual_seed(5)
        network = Spy().train()
        torch.manual_seed(6)
        fresh_step(trainer_of(network), batch_of(steps), step_options())
        return torch.rand(3)

    assert torch.equal(random_numbers_after([0, 0, 0, 0]), random_numbers_after(STEPS))


def test_without_a_rollout_the_loss_is_the_pairs_own(network):
    batch, options = batch_of([0, 0, 0, 0]), step_options("epsilon")
    outcome = fresh_step(trainer_of(network), batch, options)
    timestep, schedule = batch.plan.target, options.objective.schedule
    alpha, sigma = schedule.alpha(timestep), schedule.sigma(timestep)
    noisy = alpha.view(-1, 1, 1, 1) * batch.clean + sigma.view(-1, 1, 1, 1) * batch.noise
    aim = pair_target(batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind="epsilon")
    loss = (network(noisy, timestep) - aim).square().mean().item()
    assert outcome.loss.item() == pytest.approx(loss, rel=1e-5)
    assert outcome.tally.means() == {"loss_teacher_forced": pytest.approx(loss, rel=1e-5)}
    assert (outcome.calls, outcome.forwards, outcome.trained) == (0, 0, 4)


def test_items_that_were_not_rolled_have_the_same_error_in_both_arms(network):
    one = torch.tensor([0.0, 1.0, 0.0, 0.0])
    rolled = fresh_step(trainer_of(network), batch_of(STEPS, weight=one), step_options())
    plain = fresh_step(trainer_of(network), batch_of([0, 0, 0, 0], weight=one), step_options())
    assert rolled.loss.item() == pytest.approx(plain.loss.item(), rel=1e-5)
    other = torch.tensor([1.0, 0.0, 0.0, 0.0])
    rolled = fresh_step(trainer_of(network), batch_of(STEPS, weight=other), step_options())
    plain = fresh_step(trainer_of(network), batch_of([0, 0, 0, 0], weight=other), step_options())
    assert rolled.loss.item() != pytest.approx(plain.loss.item(), rel=1e-3)


def test_the_weights_of_the_items_make_the_loss(network):
    def loss(weight):
        return fresh_step(trainer_of(network), batch_of(STEPS, weight=torch.tensor(weight)), step_options()).loss.item()

    alone = [loss([float(item == other) for other in range(4)]) for item in range(4)]
    assert loss([1.0, 0.0, 0.5, 0.0]) == pytest.approx(alone[0] + alone[2] / 2, rel=1e-5)


def test_the_errors_of_rolled_and_teacher_forced_items_are_told_apart(network):
    outcome = fresh_step(trainer_of(network), batch_of(STEPS), step_options())
    means = outcome.tally.means()
    assert outcome.loss.item() == pytest.approx((3 * means["loss_rolled"] + means["loss_teacher_forced"]) / 4, rel=1e-5)


def test_min_snr_weights_come_from_the_trained_timestep(network):
    options = step_options("v_prediction", snr_gamma=0.4)
    for item in range(4):
        weight = torch.tensor([float(item == other) for other in range(4)])
        batch = batch_of(STEPS, weight=weight)
        plain = fresh_step(trainer_of(network), batch, step_options("v_prediction")).loss.item()
        found = fresh_step(trainer_of(network), batch, options).loss.item()
        t, schedule = batch.plan.target[item : item + 1], options.objective.schedule
        snr = (schedule.alpha(t) / schedule.sigma(t)).square().item()
        assert found == pytest.approx(plain * min(snr, 0.4) / (snr + 1), rel=1e-4)


def test_a_longer_rollout_drifts_further(network):
    drifts = [
        fresh_step(trainer_of(network), batch_of([k] * 4), step_options()).tally.means()["m1_squared"]
        for k in (1, 2, 4)
    ]
    assert drifts == sorted(drifts)
    assert drifts[0] > 0


def test_guidance_asks_for_both_predictions_in_one_call():
    """A network whose answer is its condition: what comes back is the guided one, empty + scale (caption - empty)."""
    seen = []

    def with_condition(network, noisy, timestep, condition):
        seen.append(condition.flatten().tolist())
        return network(noisy, timestep) + 0.01 * condition.view(-1, 1, 1, 1)

    torch.manual_seed(0)
    network = TinyDenoiser(dropout=0.0)
    options = step_options(guidance_scale=3.0, unprompted=lambda condition: torch.full_like(condition, -2.0))
    outcome = fresh_step(trainer_of(network, with_condition), batch_of(STEPS), options)
    assert seen == [[1.0] * 3 + [-2.0] * 3, [1.0] * 2 + [-2.0] * 2, [1.0, -2.0], [1.0] * 4]
    assert (outcome.calls, outcome.forwards) == (3, 12)

    def guided_by_hand(noisy, timestep, items):
        return network(noisy, timestep) + 0.01 * (-2.0 + 3.0 * 3.0)

    batch, schedule = batch_of(STEPS), options.objective.schedule
    result = roll(
        guided_by_hand, batch.clean, batch.noise, batch.plan, schedule=schedule, kind="v_prediction", sampler="euler"
    )
    expected = ((result.rolled - result.noisy).square().flatten(1).mean(1))[batch.plan.rolled]
    alpha, sigma = schedule.alpha(batch.plan.target), schedule.sigma(batch.plan.target)
    scale = (alpha.square() + sigma.square())[batch.plan.rolled]
    assert outcome.tally.means()["m1_squared"] == pytest.approx((expected / scale).mean().item(), rel=1e-4)


REFLEX = ReflexFlow(alpha=1.0, beta1=10.0, beta2=1.0)


def test_reflexflow_costs_one_call_of_the_rolled_items_without_gradient():
    spy = Spy().train()
    outcome = fresh_step(trainer_of(spy), batch_of(STEPS), step_options("flow_matching", reflexflow=REFLEX))
    assert spy.seen == [*ROLLED, (False, False, 3), (True, True, 4)]
    assert (outcome.calls, outcome.forwards) == (4, 9)


def test_reflexflow_costs_nothing_where_nothing_is_rolled():
    spy = Spy().train()
    outcome = fresh_step(trainer_of(spy), batch_of([0, 0, 0, 0]), step_options("flow_matching", reflexflow=REFLEX))
    assert spy.seen == [(True, True, 4)]
    assert (outcome.calls, outcome.forwards) == (0, 0)


def test_reflexflow_charges_nothing_to_teacher_forced_items(network):
    teacher_forced = torch.tensor([0.0, 1.0, 0.0, 0.0])
    batch = batch_of(STEPS, weight=teacher_forced)
    losses = [
        fresh_step(trainer_of(network), batch, step_options("flow_matching", reflexflow=term)).loss.item()
        for term in (None, REFLEX)
    ]
    assert losses[0] == losses[1]


def test_reflexflow_is_the_sum_of_its_parts_on_rolled_items(network):
    batch = batch_of([1, 1, 1, 1])
    term = ReflexFlow(alpha=1.0, beta1=3.0, beta2=0.5)
    outcome = fresh_step(trainer_of(network), batch, step_options("flow_matching", reflexflow=term))
    means = outcome.tally.means()
    expected = 3.0 * means["reflexflow_direction"] + 0.5 * means["reflexflow_error"]
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-5)


def test_reflexflow_without_its_additions_is_the_plain_loss(network):
    batch, term = batch_of(STEPS), ReflexFlow(alpha=0.0, beta1=0.0, beta2=1.0)
    losses = [
        fresh_step(trainer_of(network), batch, step_options("flow_matching", reflexflow=choice)).loss.item()
        for choice in (None, term)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_reflexflows_weights_carry_no_gradient(network):
    """The gradient is that of the same loss with the weights and the unbiased prediction fixed."""
    batch, options = batch_of([1, 1, 1, 1]), step_options("flow_matching", reflexflow=ReflexFlow(1.0, 0.0, 1.0))
    fresh_step(trainer_of(network), batch, options)
    mine = gradients(network)

    def denoiser(noisy, timestep, items):
        return predict(network, noisy, timestep, None).detach()

    result = roll(
        denoiser, batch.clean, batch.noise, batch.plan, schedule=options.objective.schedule, kind="flow_matching",
        sampler="euler",
    )  # fmt: skip
    timestep = batch.plan.target
    sigma = options.objective.schedule.sigma(timestep).view(-1, 1, 1, 1)
    prediction = network(result.rolled, timestep)
    change = (network(result.noisy, timestep) - prediction).detach().abs()
    weights = (change / change.mean((1, 2, 3), keepdim=True)).clamp(0, 4)
    weights = weights / weights.mean((1, 2, 3), keepdim=True)
    (weights * (prediction - (result.rolled - batch.clean) / sigma).square()).mean().backward()
    for a, b in zip(mine, gradients(network), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
