"""The plan of a rollout: where each item of a batch starts, where it is trained, in how many steps it gets there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from numpy.typing import NDArray
from torch import Tensor

from core.rollout.offsets import cut_and_source, grid_index, grid_nodes, grid_timestep, offsets_from


@dataclass(frozen=True, eq=False)
class RolloutPlan:
    """Sources, targets and steps of a batch.

    It stays on the CPU: the engine reads it there and never waits for a device.

    Attributes:
        source: (batch,), timesteps from which items start, at the noisy end.
        target: (batch,), timesteps at which they are trained; integer or fractional.
        steps: (batch,), rollout steps between the two, after the cut; 0 = teacher-forced, source is then not used.
        grid: (points,), ascending timesteps whose spacing the steps follow, or None for steps of equal length. A
            clean end of 0 is put before them. On it, an item's states lie at `G(G^-1(target) + j)`, G linear in the
            index.

    Raises:
        ValueError: if shapes differ, a step count is negative, a rolled item's source is not noisier than its
            target, or the grid is not ascending or ends before a source.
    """

    source: Real[Tensor, " batch"]
    target: Real[Tensor, " batch"]
    steps: Int[Tensor, " batch"]
    grid: Real[Tensor, " points"] | None = None

    def __post_init__(self) -> None:
        """Brings everything to the CPU and checks it."""
        for name in ("source", "target", "steps", "grid"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else value.detach().cpu())
        shapes = {tuple(self.source.shape), tuple(self.target.shape), tuple(self.steps.shape)}
        if len(shapes) != 1 or self.steps.ndim != 1:
            raise ValueError(f"source, target and steps must share one (batch,) shape, got {sorted(shapes)}")
        if bool((self.steps < 0).any()):
            raise ValueError(f"steps must be 0 or more, got {self.steps.tolist()}")
        if bool((self.rolled & (self.source <= self.target)).any()):
            raise ValueError("source must be noisier (larger) than target for every item with steps")
        if self.grid is not None and bool((self.source[self.rolled] > grid_nodes(self.grid.numpy())[-1]).any()):
            raise ValueError("grid must reach the noisiest source")

    @property
    def rolled(self) -> Tensor:
        """(batch,), bool: the items that are rolled out at all."""
        return self.steps > 0

    @property
    def longest(self) -> int:
        """Steps of the longest rollout: how often the batch advances."""
        return int(self.steps.max()) if len(self.steps) > 0 else 0

    @property
    def below_grid(self) -> int:
        """How many targets lie below the grid's first point above 0, and are teacher-forced for that reason."""
        if self.grid is None:
            return 0
        return int((self.target < grid_nodes(self.grid.numpy())[1]).sum())

    def itinerary(self) -> Float[Tensor, "states batch"]:
        """The timesteps of every item's states, from source to target, in float64; an item that has arrived stays.

        Returns:
            (longest + 1, batch). Row 0 is the source (the target where steps is 0), the last row is the target,
            exactly.
        """
        source, target = self.source.double(), self.target.double()
        done = torch.arange(self.longest + 1)[:, None].clamp(max=self.steps)
        if self.grid is None:
            # multiplied before it is divided, so that an integer stride gives whole timesteps
            path = source + (target - source) * done / self.steps.clamp(min=1)
        else:
            nodes = grid_nodes(self.grid.numpy())
            index = grid_index(nodes, target.numpy()) + (self.steps - done).numpy()
            path = torch.from_numpy(grid_timestep(nodes, index))
        path = torch.where(done == 0, source, path)
        return torch.where(done == self.steps, target, path)


def draw_plan(
    options: Any,
    timesteps: Real[Tensor, " batch"],
    *,
    probability: float,
    last: int,
    generator: torch.Generator,
    grid: Real[Tensor, " points"] | None = None,
) -> RolloutPlan:
    """Draws who is rolled out, and from where, so that every item lands on its own timestep.

    Two numbers are drawn for each item whatever the options say, so that runs that differ in options keep the same
    streams.

    Args:
        options: the scheduled sampling options: max_step_offset, strategy and stride.
        timesteps: (batch,), where the items are trained; a CPU tensor spares a device synchronisation.
        probability: the chance per item, 0..1 (see `core.rollout.ramp.probability_at`).
        last: the noisiest timestep, `NoiseSchedule.last`.
        generator: a CPU generator.
        grid: ascending timesteps of the inference grid; needed for, and only used with, stride "inference".

    Returns:
        The plan. k is cut to `floor((last - t) / stride)`, or to the grid; targets below the grid's first point get
        no steps.

    Raises:
        ValueError: if probability is outside 0..1, or a grid is missing, or is given with an integer stride.
    """
    target = timesteps.detach().cpu()
    k = drawn_offsets(options, len(target), probability, generator, grid)
    steps, source = cut_and_source(k, target.numpy(), options, last, None if grid is None else grid.cpu().numpy())
    whole = not target.is_floating_point() and options.stride != "inference"
    return RolloutPlan(
        source=torch.from_numpy(source).to(target.dtype if whole else torch.float64),
        target=target,
        steps=torch.from_numpy(steps),
        grid=grid,
    )


def drawn_offsets(
    options: Any, count: int, probability: float, generator: torch.Generator, grid: Tensor | None
) -> NDArray[np.int64]:
    """k of each item before any cut, 0 where no rollout was picked; arguments and errors as for `draw_plan`."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in 0..1, got {probability}")
    if grid is not None and options.stride != "inference":
        raise ValueError(f'grid must only be given with stride "inference", got stride {options.stride}')
    chance = torch.rand((count, 2), dtype=torch.float64, generator=generator).numpy()
    return np.where(chance[:, 0] < probability, offsets_from(chance[:, 1], options), 0)
