"""Short self-generated paths beside the true ones: the one loop that all paired metrics are taken from.

From each pair's true state ``x_u``, some grid points above a probed timestep, the model steps down with the plain
first-order sampler to ``x̂_t``; the pair's own true state there is ``x_t``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.view import View, look, view_of
from core.noise.denoiser import Denoiser
from core.noise.prediction import add_noise
from core.noise.schedule import NoiseSchedule, Place
from core.rollout.engine import roll
from core.rollout.journey import in_float
from core.rollout.plan import RolloutPlan

REACH = 4
"""Grid steps that a probed state was carried by the model itself."""
TARGETS = 5
"""Grid points that are probed while training."""


@dataclass(frozen=True, eq=False)
class Landing:
    """All pairs at one probed timestep.

    Attributes:
        timestep: where the paths ended.
        target: the same with its alpha and sigma, (pairs,) each.
        source: where they began.
        rolled: x̂_t, the model's own states.
        noisy: x_t, the true ones.
    """

    timestep: float
    target: Place
    source: Place
    rolled: Float[Tensor, "pairs ..."]
    noisy: Float[Tensor, "pairs ..."]


class ShortPaths:
    """The short paths of some pairs, and what the model sees on them; counts its forwards.

    Attributes:
        clean: x0, float32.
        noise: e, float32.
        m2: mean square of the clean latents.
        schedule: noise schedule.
        grid: the sampler's timesteps.
        forwards: sample-forwards so far.
    """

    def __init__(
        self, denoiser: Denoiser, clean: Float[Tensor, "pairs ..."], noise: Float[Tensor, "pairs ..."], *,
        schedule: NoiseSchedule, kind: str, grid: Float[Tensor, "points"], reach: int = REACH, targets: int = TARGETS,
    ) -> None:  # fmt: skip
        """Makes no forward yet.

        Args:
            denoiser: in evaluation mode; ``items`` are the pairs.
            clean: latents.
            noise: the noise of each pair, equal in all arms.
            schedule: noise schedule.
            kind: what the denoiser predicts.
            grid: the sampler's timesteps, ascending, without 0.
            reach: grid steps of each path, cut to the grid's length - 1.
            targets: how many grid points are probed, evenly spaced from the first.
        """
        self.clean, self.noise = in_float(clean, noise)
        self.m2 = self.clean.square().mean().item()
        self.forwards = 0
        self.schedule, self.grid = schedule, grid
        self._denoiser, self._kind = denoiser, kind
        self._plans = list(probe_plans(len(clean), grid, reach, targets))
        self._items = torch.arange(len(clean), device=clean.device)
        self._true: dict[float, View] = {}

    def landings(self) -> Iterator[Landing]:
        """Rolls out to one probed timestep after the other, clean end first."""
        for plan in self._plans:
            source, target = (self.schedule.place(t.float().to(self.clean.device)) for t in (plan.source, plan.target))
            denoiser = self._listening(float(plan.source[0]), source)
            result = roll(
                denoiser, self.clean, self.noise, plan, schedule=self.schedule, kind=self._kind, sampler="euler"
            )
            self.forwards += result.sample_forwards
            yield Landing(float(plan.target[0]), target, source, result.rolled, result.noisy)

    def _listening(self, place: float, source: Place) -> Denoiser:
        """The denoiser; what it first says about all pairs is about their true states at the source, and is kept."""

        def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
            prediction = self._denoiser(noisy, timestep, items)
            if place not in self._true:
                self._true[place] = view_of(prediction, noisy, source, self._kind)
            return prediction

        return denoiser

    def look(self, states: Float[Tensor, "pairs ..."], place: Place) -> View:
        """What the model sees in states of all pairs; a forward each."""
        self.forwards += len(states)
        return look(self._denoiser, states, place, self._items, self._kind)

    def true(self, place: Place) -> View:
        """What it sees in the true states; made once, here or where a path begins."""
        timestep = float(place.timestep[0])
        if timestep not in self._true:
            states = add_noise(self.clean, self.noise, alpha=place.alpha, sigma=place.sigma)
            self._true[timestep] = self.look(states, place)
        return self._true[timestep]


def probe_plans(pairs: int, grid: Float[Tensor, "points"], reach: int, targets: int) -> Iterator[RolloutPlan]:
    """Short rollouts of all pairs to probed timesteps, clean end first.

    Args:
        pairs: how many items each plan has.
        grid: the sampler's timesteps, ascending, without 0.
        reach: grid steps of each rollout; cut to the grid's length - 1.
        targets: how many grid points are probed, evenly spaced from the first.
    """
    reach = min(reach, len(grid) - 1)
    for index in sorted({round(place) for place in torch.linspace(0, len(grid) - 1 - reach, targets).tolist()}):
        target, source = (torch.full((pairs,), float(grid[place])) for place in (index, index + reach))
        yield RolloutPlan(source=source, target=target, steps=torch.full((pairs,), reach), grid=grid)
