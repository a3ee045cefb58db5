"""The rollout: the model carries each item from its source to its target, all items together.

Items that are still on their way advance in one call, each at its own timestep, so that a batch costs as many calls
as its longest rollout (times the sampler's calls per step), never as many as all its rollouts together.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.denoiser import Denoiser
from core.noise.prediction import add_noise, check_kind
from core.noise.schedule import NoiseSchedule, Place
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
        sample_forwards: items in those calls.
    """

    rolled: Float[Tensor, "batch ..."]
    noisy: Float[Tensor, "batch ..."]
    calls: int
    sample_forwards: int


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
) -> RolloutResult:
    """Rolls a batch out.

    States go into the network and come back in float32 (float64 if both latents are). In between they are carried
    in float64 where the device has it: near pure noise an epsilon prediction divides their rounding by a small
    alpha.

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

    Raises:
        ValueError: if kind, sampler or order is unknown, the plan does not fit the batch or the noise schedule, or a
            rollout would start from pure noise (alpha = 0) with an epsilon prediction, which tells nothing about
            the clean latent.
    """
    check_kind(kind)
    stepper = build_sampler(sampler, order)
    dtype = torch.promote_types(torch.promote_types(clean.dtype, noise.dtype), torch.float32)
    clean, noise = clean.detach().to(dtype), noise.detach().to(dtype)
    _check_fit(plan, clean, noise, schedule)
    noisy = _state_at(schedule.place(plan.target.double()), clean, noise)
    # the longest rollouts first: those still on their way are always the first ones, without any gathering
    order_of_items = torch.argsort(plan.steps, descending=True, stable=True)[: int(plan.rolled.sum())]
    if len(order_of_items) == 0:
        return RolloutResult(noisy.clone(), noisy, 0, 0)
    items = order_of_items.to(clean.device)
    places = [schedule.place(row[order_of_items]) for row in plan.itinerary()]
    if kind == "epsilon" and bool((places[0].alpha == 0).any()):
        raise ValueError(
            f"source must lie below timestep {schedule.last} for an epsilon prediction, got pure noise (alpha = 0) "
            "there, which leaves the clean latent open; use another kind or a noise schedule that ends in some signal"
        )
    precise = dtype if clean.device.type == "mps" else torch.float64
    state = _state_at(places[0], clean[items].to(precise), noise[items].to(precise))
    model = Model(denoiser, items, schedule=schedule, kind=kind, dtype=dtype)
    landed = _advance(stepper, model, state, places, plan.steps[order_of_items])
    rolled = noisy.clone()
    rolled[items] = landed.to(dtype)
    return RolloutResult(rolled, noisy, model.calls, model.sample_forwards)


def _advance(stepper: Sampler, model: Model, state: Tensor, places: list[Place], steps: Tensor) -> Tensor:
    """Steps all items to their targets; they are sorted by steps, the longest first."""
    landed = torch.empty_like(state)
    memory: Memory = ()
    for taken, (here, there) in enumerate(pairwise(places)):
        active = int((steps > taken).sum())
        memory = tuple(past.first(active) for past in memory)
        state, memory = stepper.step(model, state[:active], here.first(active), there.first(active), memory)
        landed[:active] = state
    return landed


def _state_at(place: Place, clean: Tensor, noise: Tensor) -> Tensor:
    alpha, sigma = (weight.to(clean.dtype).to(clean.device) for weight in (place.alpha, place.sigma))
    return add_noise(clean, noise, alpha=alpha, sigma=sigma)


def _check_fit(plan: RolloutPlan, clean: Tensor, noise: Tensor, schedule: NoiseSchedule) -> None:
    if clean.shape != noise.shape or len(clean) != len(plan.steps):
        raise ValueError(
            f"clean, noise and plan must agree on the batch, got {tuple(clean.shape)}, {tuple(noise.shape)} "
            f"and {len(plan.steps)} items"
        )
    visited = torch.cat([plan.target.double(), plan.source[plan.rolled].double()])
    if bool(((visited < 0) | (visited > schedule.last)).any()):
        raise ValueError(f"plan must stay within timesteps 0..{schedule.last}, got {visited.min()}..{visited.max()}")
