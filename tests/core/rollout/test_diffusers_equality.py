"""Rollouts equal diffusers' schedulers, state by state, where both take the same timesteps."""

import diffusers
import pytest
import torch
from analytic_flows import BentDenoiser, state_at

from core.noise.schedule import NoiseSchedule
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
VARIANCE_PRESERVING = NoiseSchedule.from_diffusers(diffusers.DDPMScheduler(**BETAS))
FLOW = NoiseSchedule.flow_matching(1000)
VP_KINDS = ["epsilon", "v_prediction", "sample"]
TIMESTEPS = [950, 850, 750, 650, 550, 450, 350, 250]


def latents():
    return torch.randn((2, 2, 4, 4, 4), generator=torch.Generator().manual_seed(11))


def our_states(schedule, kind, sampler, order):
    """The states of a rollout through TIMESTEPS, the landing included."""
    clean, noise = latents()
    denoiser = BentDenoiser(schedule, kind)
    steps = len(TIMESTEPS) - 1
    plan = RolloutPlan(
        source=torch.full((2,), TIMESTEPS[0]), target=torch.full((2,), TIMESTEPS[-1]), steps=torch.full((2,), steps)
    )
    result = roll(denoiser, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    return [*denoiser.states, result.rolled]


def their_states(scheduler, schedule, kind):
    """The states of a diffusers scheduler from the same source, through the same timesteps."""
    denoiser = BentDenoiser(schedule, kind)
    state = state_at(*latents(), torch.full((2,), TIMESTEPS[0]), schedule)
    for t in torch.tensor(TIMESTEPS[:-1]).to(scheduler.timesteps.dtype):
        prediction = denoiser(state, t.float().expand(2), torch.arange(2))
        state = scheduler.step(prediction, t, state, return_dict=False)[0]
    return [*denoiser.states, state]


def through_timesteps(scheduler, schedule):
    """Sets a scheduler to walk TIMESTEPS and to end at the last of them."""
    t = torch.tensor(TIMESTEPS, dtype=torch.float64)
    scheduler.set_timesteps(len(TIMESTEPS) - 1)
    ratio = schedule.sigma(t) if schedule is FLOW else schedule.sigma(t) / schedule.alpha(t)
    scheduler.sigmas = ratio.float()
    whole = not isinstance(scheduler, diffusers.FlowMatchEulerDiscreteScheduler)
    scheduler.timesteps = torch.tensor(TIMESTEPS[:-1], dtype=torch.int64 if whole else torch.float32)
    scheduler.num_inference_steps = len(TIMESTEPS) - 1
    return scheduler


def assert_same_states(ours, theirs, tolerance=2e-5):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", VP_KINDS)
def test_euler_is_ddim(kind):
    scheduler = diffusers.DDIMScheduler(**BETAS, prediction_type=kind, clip_sample=False)
    scheduler.set_timesteps(10)
    ours = our_states(VARIANCE_PRESERVING, kind, "euler", 2)
    assert_same_states(ours, their_states(scheduler, VARIANCE_PRESERVING, kind))


def test_euler_is_flow_match_euler():
    scheduler = through_timesteps(diffusers.FlowMatchEulerDiscreteScheduler(), FLOW)
    assert_same_states(our_states(FLOW, "flow_matching", "euler", 2), their_states(scheduler, FLOW, "flow_matching"))


PLAIN = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", VP_KINDS)
@pytest.mark.parametrize(
    ("sampler", "scheduler_class"),
    [("dpm", diffusers.DPMSolverMultistepScheduler), ("unipc", diffusers.UniPCMultistepScheduler)],
)
def test_multistep_samplers_are_those_of_diffusers(sampler, scheduler_class, kind, order):
    scheduler = scheduler_class(**BETAS, **PLAIN, prediction_type=kind, solver_order=order)
    theirs = their_states(through_timesteps(scheduler, VARIANCE_PRESERVING), VARIANCE_PRESERVING, kind)
    assert_same_states(our_states(VARIANCE_PRESERVING, kind, sampler, order), theirs)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    ("sampler", "scheduler_class"),
    [("dpm", diffusers.DPMSolverMultistepScheduler), ("unipc", diffusers.UniPCMultistepScheduler)],
)
def test_multistep_samplers_are_those_of_diffusers_on_flow_matching(sampler, scheduler_class, order):
    scheduler = scheduler_class(**PLAIN, prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=order)
    theirs = their_states(through_timesteps(scheduler, FLOW), FLOW, "flow_matching")
    assert_same_states(our_states(FLOW, "flow_matching", sampler, order), theirs)
