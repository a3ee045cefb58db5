"""The engine: items advance together, without gradient, and whatever was asked for is honoured."""

import pytest
import torch
from analytic_flows import BentDenoiser, Oracle, state_at
from noise_schedules import SCHEDULES
from tiny_networks import TinyDenoiser

from core.noise.denoiser import evaluation_mode
from core.noise.prediction import KINDS
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS

SCHEDULE = SCHEDULES["stable_diffusion"]


def latents(batch, seed=3):
    return torch.randn((2, batch, 4, 4, 4), generator=torch.Generator().manual_seed(seed))


def plan_of(steps, target=300, stride=40):
    steps = torch.tensor(steps)
    start = torch.arange(len(steps)) + target
    return RolloutPlan(source=start + steps * stride, target=start, steps=steps)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_items_advance_together(sampler):
    plan = plan_of([2, 0, 5, 1, 5])
    clean, noise = latents(5)
    oracle = Oracle(clean, noise, SCHEDULE, "v_prediction")
    result = roll(oracle, clean, noise, plan, schedule=SCHEDULE, kind="v_prediction", sampler=sampler)
    calls = SAMPLERS[sampler].calls_per_step
    assert result.calls == len(oracle.items) == 5 * calls
    assert result.sample_forwards == 13 * calls
    active = [sorted(items.tolist()) for items in oracle.items[::calls]]
    assert active == [[0, 2, 3, 4], [0, 2, 4], [2, 4], [2, 4], [2, 4]]


def test_every_item_passes_through_its_own_timesteps():
    plan = plan_of([3, 1, 2])
    clean, noise = latents(3)
    oracle = Oracle(clean, noise, SCHEDULE, "epsilon")
    roll(oracle, clean, noise, plan, schedule=SCHEDULE, kind="epsilon", sampler="euler")
    visited = {0: [], 1: [], 2: []}
    for items, timesteps in zip(oracle.items, oracle.timesteps, strict=True):
        for item, t in zip(items.tolist(), timesteps.tolist(), strict=True):
            visited[item].append(t)
    assert visited == {0: [420.0, 380.0, 340.0], 1: [341.0], 2: [382.0, 342.0]}


def test_runge_kutta_looks_between_the_timesteps():
    clean, noise = latents(1)
    oracle = Oracle(clean, noise, SCHEDULES["flow"], "flow_matching")
    plan = RolloutPlan(source=torch.tensor([600]), target=torch.tensor([400]), steps=torch.tensor([1]))
    roll(oracle, clean, noise, plan, schedule=SCHEDULES["flow"], kind="flow_matching", sampler="rk4")
    assert [t.item() for t in oracle.timesteps] == pytest.approx([600, 500, 500, 400])


def test_the_noise_that_builds_the_source_is_the_pairs_noise():
    plan = plan_of([4])
    clean, noise = latents(1)
    oracle = Oracle(clean, noise, SCHEDULE, "epsilon")
    roll(oracle, clean, noise, plan, schedule=SCHEDULE, kind="epsilon")
    torch.testing.assert_close(oracle.states[0], state_at(clean, noise, plan.source, SCHEDULE))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_company_does_not_change_an_items_rollout(sampler, kind):
    steps = [3, 0, 1, 4, 2]
    clean, noise = latents(5)
    arguments = {"schedule": SCHEDULE, "kind": kind, "sampler": sampler, "order": 3}
    together = roll(BentDenoiser(SCHEDULE, kind), clean, noise, plan_of(steps), **arguments).rolled
    whole = plan_of(steps)
    for item in range(5):
        one = slice(item, item + 1)
        plan = RolloutPlan(source=whole.source[one], target=whole.target[one], steps=whole.steps[one])
        alone = roll(BentDenoiser(SCHEDULE, kind), clean[one], noise[one], plan, **arguments).rolled
        torch.testing.assert_close(together[one], alone, rtol=1e-5, atol=1e-5)


def test_no_steps_means_no_call_and_the_same_bits():
    clean, noise = latents(3)
    plan = plan_of([0, 0, 0])

    def never(noisy, timestep, items):
        raise AssertionError("the denoiser was called")

    result = roll(never, clean, noise, plan, schedule=SCHEDULE, kind="epsilon")
    assert (result.calls, result.sample_forwards) == (0, 0)
    assert torch.equal(result.rolled, result.noisy)
    assert torch.equal(result.noisy, state_at(clean, noise, plan.target, SCHEDULE))


def test_teacher_forced_items_keep_their_bits_among_rolled_ones():
    clean, noise = latents(3)
    result = roll(
        BentDenoiser(SCHEDULE, "epsilon"), clean, noise, plan_of([2, 0, 1]), schedule=SCHEDULE, kind="epsilon"
    )
    assert torch.equal(result.rolled[1], result.noisy[1])
    assert not torch.equal(result.rolled[0], result.noisy[0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_there_is_no_gradient(sampler):
    network = TinyDenoiser(dropout=0.0)
    clean, noise = latents(2).requires_grad_().unbind(0)
    enabled = []

    def denoiser(noisy, timestep, items):
        enabled.append(torch.is_grad_enabled() or noisy.requires_grad)
        return network(noisy, timestep, items)

    result = roll(denoiser, clean, noise, plan_of([2, 1]), schedule=SCHEDULE, kind="epsilon", sampler=sampler)
    assert not any(enabled)
    assert torch.is_grad_enabled()
    assert not result.rolled.requires_grad
    assert not result.noisy.requires_grad
    assert not result.rolled.is_inference()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_in_evaluation_mode_a_rollout_repeats_itself():
    network = TinyDenoiser(dropout=0.5).train()
    clean, noise = latents(2)

    def rolled():
        return roll(network, clean, noise, plan_of([3, 2]), schedule=SCHEDULE, kind="epsilon").rolled

    assert not torch.equal(rolled(), rolled())
    with evaluation_mode(network):
        assert torch.equal(rolled(), rolled())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_states_are_float32(dtype):
    clean, noise = latents(2).to(dtype)
    seen = []

    def denoiser(noisy, timestep, items):
        seen.append((noisy.dtype, timestep.dtype))
        return noisy.to(dtype)

    result = roll(denoiser, clean, noise, plan_of([2, 1]), schedule=SCHEDULE, kind="epsilon")
    assert set(seen) == {(torch.float32, torch.float32)}
    assert result.rolled.dtype == result.noisy.dtype == torch.float32


def test_inputs_are_left_alone():
    clean, noise = latents(3)
    before = clean.clone(), noise.clone()
    roll(BentDenoiser(SCHEDULE, "sample"), clean, noise, plan_of([2, 0, 1]), schedule=SCHEDULE, kind="sample")
    assert torch.equal(clean, before[0])
    assert torch.equal(noise, before[1])


def test_latents_may_have_any_shape():
    clean, noise = torch.randn((2, 2, 7), generator=torch.Generator().manual_seed(0))
    result = roll(BentDenoiser(SCHEDULE, "sample"), clean, noise, plan_of([2, 1]), schedule=SCHEDULE, kind="sample")
    assert result.rolled.shape == (2, 7)
    assert result.rolled.isfinite().all()


def test_sampler_and_order_change_the_rollout():
    clean, noise = latents(1)
    states = {}
    for sampler, order in [("euler", 2), ("dpm", 2), ("dpm", 3), ("unipc", 1), ("unipc", 2), ("unipc", 3), ("rk4", 2)]:
        denoiser = BentDenoiser(SCHEDULE, "v_prediction")
        arguments = {"schedule": SCHEDULE, "kind": "v_prediction", "sampler": sampler, "order": order}
        states[sampler, order] = roll(denoiser, clean, noise, plan_of([4]), **arguments).rolled
    names = list(states)
    for one in names:
        for other in names[names.index(one) + 1 :]:
            assert (states[one] - states[other]).abs().max() > 1e-5, (one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "velocity"}, "kind must be one of"),
        ({"sampler": "heun"}, "sampler must be one of unipc, euler, dpm, rk4, got 'heun'"),
        ({"order": 4}, "order must be 1, 2 or 3, got 4"),
        ({"sampler": "euler", "order": 0}, "order must be 1, 2 or 3"),
    ],
)
def test_unknown_names_are_told_with_what_there_is(changes, message):
    clean, noise = latents(1)
    arguments = {"schedule": SCHEDULE, "kind": "epsilon"} | changes
    with pytest.raises(ValueError, match=message):
        roll(BentDenoiser(SCHEDULE, "epsilon"), clean, noise, plan_of([0]), **arguments)


def test_a_plan_that_does_not_fit_is_refused():
    clean, noise = latents(2)
    denoiser = BentDenoiser(SCHEDULE, "epsilon")
    with pytest.raises(ValueError, match="agree on the batch"):
        roll(denoiser, clean, noise, plan_of([1]), schedule=SCHEDULE, kind="epsilon")
    with pytest.raises(ValueError, match=r"within timesteps 0\.\.999"):
        roll(denoiser, clean, noise, plan_of([20, 0]), schedule=SCHEDULE, kind="epsilon")


def test_a_prediction_of_another_shape_is_refused():
    clean, noise = latents(1)
    with pytest.raises(ValueError, match="shape of its input"):
        roll(lambda noisy, t, items: noisy[:, :2], clean, noise, plan_of([1]), schedule=SCHEDULE, kind="epsilon")
