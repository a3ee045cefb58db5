"""A plan on its way: every place of every rollout, on the latents' device after one transfer.

Shared by both modes. Items are sorted by the length of their rollouts, the longest first: those that are still on
their way are always the first ones, without any gathering. What decides how often to call and how many items are
active stays on the CPU, so that the host never waits for a device.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.noise.prediction import add_noise, check_kind
from core.noise.schedule import NoiseSchedule, Place
from core.rollout.plan import RolloutPlan


@dataclass(frozen=True, eq=False)
class Journey:
    """The places of a batch's rollouts.

    Attributes:
        items: (batch,), on the device: batch indices, the longest rollouts first.
        order: (batch,), the same on the CPU.
        steps: (batch,), on the CPU: rollout steps, in that order.
        places: one for every state of the longest rollout, (batch,) each, in that order, in float64 (float32 on a
            device without it); an item that has arrived stays.
        target: (batch,), where the items land, in the batch's own order.
        rolled: (batch,), on the device: which items are rolled out at all, in the batch's own order.
    """

    items: Int[Tensor, " batch"]
    order: Int[Tensor, " batch"]
    steps: Int[Tensor, " batch"]
    places: tuple[Place, ...]
    target: Place
    rolled: Bool[Tensor, " batch"]

    @cached_property
    def _arriving(self) -> list[int]:
        return self.steps.tolist()

    def active(self, depth: int) -> int:
        """How many items go on after that many rollout steps: they are the first ones."""
        return sum(steps > depth for steps in self._arriving)


def prepare(
    plan: RolloutPlan, clean: Float[Tensor, "batch ..."], noise: Float[Tensor, "batch ..."], *,
    schedule: NoiseSchedule, kind: str,
) -> Journey:  # fmt: skip
    """Checks that a plan fits, and brings it to the latents' device in one transfer.

    Raises:
        ValueError: if kind is unknown, the plan does not fit the batch or the noise schedule, or a rollout would
            start from pure noise (alpha = 0) with an epsilon prediction, which tells nothing about the clean latent.
    """
    check_kind(kind)
    _check_fit(plan, clean, noise, schedule)
    itinerary = plan.itinerary()
    place = schedule.place(itinerary.flatten())
    alpha = place.alpha.reshape(itinerary.shape)
    if kind == "epsilon" and bool((alpha[0, plan.rolled] == 0).any()):
        raise ValueError(
            f"source must lie below timestep {schedule.last} for an epsilon prediction, got pure noise (alpha = 0) "
            "there, which leaves the clean latent open; use another kind or a noise schedule that ends in some signal"
        )
    order = torch.argsort(plan.steps, descending=True, stable=True)
    whole = torch.cat([itinerary, alpha, place.sigma.reshape(itinerary.shape), order[None], plan.steps[None]]).double()
    if clean.device.type == "mps":
        whole = whole.float()
    whole = whole.to(clean.device, non_blocking=True)
    items = whole[-2].long()
    states = len(itinerary)
    tables = whole[:-2].reshape(3, states, len(order))
    ordered = tables[:, :, items]
    return Journey(
        items=items,
        order=order,
        steps=plan.steps[order],
        places=tuple(Place(*ordered[:, row]) for row in range(states)),
        target=Place(*tables[:, -1]),
        rolled=whole[-1] > 0,
    )


def state_at(place: Place, clean: Float[Tensor, "n ..."], noise: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """The teacher-forced states there, in the latents' own precision."""
    alpha, sigma = (weight.to(clean.dtype) for weight in (place.alpha, place.sigma))
    return add_noise(clean, noise, alpha=alpha, sigma=sigma)


def precise(latent: Tensor) -> Tensor:
    """In float64 where the device has it: near pure noise an epsilon prediction divides rounding by a small alpha."""
    return latent if latent.device.type == "mps" else latent.double()


def in_float(clean: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Both latents without gradient in float32, or float64 if one of them is."""
    dtype = torch.promote_types(torch.promote_types(clean.dtype, noise.dtype), torch.float32)
    return clean.detach().to(dtype), noise.detach().to(dtype)


def _check_fit(plan: RolloutPlan, clean: Tensor, noise: Tensor, schedule: NoiseSchedule) -> None:
    if clean.shape != noise.shape or len(clean) != len(plan.steps):
        raise ValueError(
            f"clean, noise and plan must agree on the batch, got {tuple(clean.shape)}, {tuple(noise.shape)} "
            f"and {len(plan.steps)} items"
        )
    visited = torch.cat([plan.target.double(), plan.source[plan.rolled].double()])
    if bool(((visited < 0) | (visited > schedule.last)).any()):
        raise ValueError(f"plan must stay within timesteps 0..{schedule.last}, got {visited.min()}..{visited.max()}")
