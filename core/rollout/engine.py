"""The rollout: the model carries each item from its source to its target, all items together.

Items that are still on their way advance in one call, each at its own timestep, so that a batch costs as many calls
as its longest rollout (times the sampler's calls per step), never as many as all its rollouts together. Here no state
on the way is trained on (mode fresh); `core.rollout.visited` trains on all of them.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.noise.denoiser import Denoiser
from core.noise.schedule import NoiseSchedule, Place
from core.rollout.journey import Journey, in_float, precise, prepare, state_at
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import build_sampler
from core.rollout.samplers.base import Memory, Model, Sampler


@dataclass(frozen=True)
class RolloutResult:
    """Where the items landed. No gradient anywhere.

    Attributes:
        rolled: (batch, ...), the model's own states at the targets; equal to `noisy` bit for bit where steps is 0.
        noisy: (batch, ...), the teacher-forced states at the targets.
        calls: model calls made.
        sample_forwards: network forwards of single items in those calls.
        target: (batch,), the targets on the latents' device.
        was_rolled: (batch,), on that device: steps > 0.
        own: indices of those, on that device.
    """

    rolled: Float[Tensor, "batch ..."]
    noisy: Float[Tensor, "batch ..."]
    calls: int
    sample_forwards: int
    target: Place
    was_rolled: Bool[Tensor, " batch"]
    own: Int[Tensor, " own"]


@torch.no_grad()
def roll(
    denoiser: Denoiser,
    clean: Float[Tensor, "batch ..."],
    noise: Float[Tensor, "batch ..."],
    plan: RolloutPlan,
    *,
    schedule: NoiseSchedule,
    kind: str,
    sampler: str = "unipc",
    order: int = 2,
    forwards_per_item: int = 1,
) -> RolloutResult:
    """Rolls a batch out.

    States go into the network and come back in float32 (float64 if both latents are). In between they are carried
    in float64 where the device has it.

    Args:
        denoiser: see `core.noise.denoiser.Denoiser`; called without gradient, to be in evaluation mode
            (`evaluation_mode`).
        clean: (batch, ...), clean latents.
        noise: (batch, ...), the noise that builds the sources.
        plan: sources, targets and steps.
        schedule: the noise schedule.
        kind: what the denoiser predicts.
        sampler: a name in SAMPLERS.
        order: 1..3, for samplers that take one.
        forwards_per_item: network forwards behind one prediction of the denoiser, for the count: 2 with
            classifier-free guidance.

    Raises:
        ValueError: if kind, sampler or order is unknown, the plan does not fit the batch or the noise schedule, or a
            rollout would start from pure noise (alpha = 0) with an epsilon prediction, which tells nothing about
            the clean latent.
    """
    stepper = build_sampler(sampler, order)
    clean, noise = in_float(clean, noise)
    journey = prepare(plan, clean, noise, schedule=schedule, kind=kind)
    noisy = state_at(journey.target, clean, noise)
    moving = journey.active(0)
    items = journey.items[:moving]
    if moving == 0:
        return RolloutResult(noisy.clone(), noisy, 0, 0, journey.target, journey.rolled, items)
    state = state_at(journey.places[0].first(moving), precise(clean[items]), precise(noise[items]))
    model = Model(denoiser, items, schedule=schedule, kind=kind, dtype=clean.dtype)
    landed = _advance(stepper, model, state, journey)
    rolled = noisy.clone()
    rolled[items] = landed.to(clean.dtype)
    forwards = model.sample_forwards * forwards_per_item
    return RolloutResult(rolled, noisy, model.calls, forwards, journey.target, journey.rolled, items)


def _advance(stepper: Sampler, model: Model, state: Tensor, journey: Journey) -> Tensor:
    """Steps all items to their targets; they are sorted by steps, the longest first."""
    landed = torch.empty_like(state)
    memory: Memory = ()
    for taken, (here, there) in enumerate(pairwise(journey.places)):
        active = journey.active(taken)
        memory = tuple(past.first(active) for past in memory)
        state, memory = stepper.step(model, state[:active], here.first(active), there.first(active), memory)
        landed[:active] = state
    return landed
