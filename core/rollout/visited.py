"""Training on every state that a rollout visits (mode visited): no forward that is not trained on.

Depth 0 is the teacher-forced state at the source. The training forward's own prediction there, detached, moves each
item one rollout step; the next forward, with gradient, trains where it arrived; and so on, with fewer items at each
depth. A rollout of k steps so trains k + 1 states with k + 1 forwards.

Which states belong together is drawn such that every timestep is trained exactly as often, in weight, as without
rollout (`core.rollout.offsets.block_and_source`): the anchor is drawn as for a teacher-forced item, the block of k + 1
states around it is trained, and a state at timestep t has the share `p(t) / sum of p over the block` of the item's
loss, p the density of the timesteps in steps of the rollout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from numpy.typing import NDArray
from torch import Tensor

from core.noise.schedule import NoiseSchedule, Place
from core.rollout.journey import in_float, precise, prepare, state_at
from core.rollout.offsets import block_and_source, grid_index, grid_nodes
from core.rollout.plan import RolloutPlan, drawn_offsets
from core.rollout.samplers import SAMPLERS, build_sampler
from core.rollout.samplers.base import Memory, Model

Density = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How often a timestep is drawn, up to a factor; elementwise."""


@dataclass(frozen=True)
class Visit:
    """The states of one depth.

    Attributes:
        depth: rollout steps that the model took to get there; 0 = teacher-forced.
        last: whether it is the batch's last one.
        items: (n,), which items of the batch these are.
        order: (n,), the same on the CPU.
        noisy: (n, ...), the states that the network is to be trained at.
        teacher_forced: (n, ...), the states of the true path at the same timesteps.
        place: (n,), where they are.
    """

    depth: int
    last: bool
    items: Int[Tensor, " n"]
    order: Int[Tensor, " n"]
    noisy: Float[Tensor, "n ..."]
    teacher_forced: Float[Tensor, "n ..."]
    place: Place


Train = Callable[[Visit], Tensor]
"""Trains at the states of a visit; returns the prediction, (n, ...), detached. It is called without gradient."""


def draw_blocks(
    options: Any,
    timesteps: Real[Tensor, " batch"],
    *,
    probability: float,
    last: int,
    generator: torch.Generator,
    density: Density,
    grid: Real[Tensor, " points"] | None = None,
) -> tuple[RolloutPlan, Float[Tensor, "states batch"]]:
    """Draws the block of states that each anchor is trained in.

    The first two numbers of each item are those of `core.rollout.plan.draw_plan`.

    Args:
        options: the scheduled sampling options: max_step_offset, strategy and stride.
        timesteps: (batch,), anchors, drawn as without rollout.
        probability: the chance per item, 0..1.
        last: the noisiest timestep.
        generator: a CPU generator.
        density: of the anchors' distribution.
        grid: ascending timesteps of the inference grid; needed for, and only used with, stride "inference".

    Returns:
        The plan, from the noisiest to the cleanest state of each block, and the share of each state in its item's loss,
        the noisiest first: each column sums to 1, and is 0 after the block's end.

    Raises:
        ValueError: if probability is outside 0..1, or a grid is missing, or is given with an integer stride.
    """
    anchor = timesteps.detach().cpu()
    k = drawn_offsets(options, len(anchor), probability, generator, grid)
    chance = torch.rand(len(anchor), dtype=torch.float64, generator=generator).numpy()
    offset = np.floor(chance * (k + 1)).astype(np.int64)
    ticks = None if grid is None else grid.cpu().numpy()
    steps, target, source = block_and_source(k, offset, anchor.numpy(), options, last, ticks)
    plan = RolloutPlan(
        source=torch.from_numpy(np.minimum(source, last)), target=torch.from_numpy(np.maximum(target, 0.0)),
        steps=torch.from_numpy(steps), grid=grid,
    )  # fmt: skip
    return plan, torch.from_numpy(_shares(plan, density, ticks))


def _shares(plan: RolloutPlan, density: Density, grid: NDArray[np.float64] | None) -> NDArray[np.float64]:
    path = plan.itinerary().numpy()
    mass = density(path)
    if grid is not None:  # per step of the rollout, not per timestep: times the width of a step there
        nodes = grid_nodes(grid)
        cell = np.floor(grid_index(nodes, path) + 1e-9).astype(np.int64)
        mass = mass * np.diff(nodes)[np.clip(cell, 0, len(nodes) - 2)]
    mass = np.where(np.arange(len(path))[:, None] <= plan.steps.numpy(), mass, 0.0)
    alone = plan.steps.numpy() == 0
    mass[0, alone] = 1.0  # its whole loss, however rare the timestep
    return mass / mass.sum(axis=0)


@torch.no_grad()
def visit(
    train: Train,
    clean: Float[Tensor, "batch ..."],
    noise: Float[Tensor, "batch ..."],
    plan: RolloutPlan,
    *,
    schedule: NoiseSchedule,
    kind: str,
    sampler: str = "unipc",
    order: int = 2,
) -> int:
    """Trains on every state that the batch's rollouts visit.

    Args:
        train: called once a depth, with the items that get there; its predictions move them on.
        clean: (batch, ...), clean latents.
        noise: (batch, ...), the noise that builds the sources.
        plan: from `draw_blocks`.
        schedule: the noise schedule.
        kind: what the network predicts.
        sampler: a name in SAMPLERS that calls the model once a step.
        order: 1..3, for samplers that take one.

    Returns:
        How many states were trained on.

    Raises:
        ValueError: as `core.rollout.engine.roll`, or if the sampler needs the model between the states (rk4).
    """
    stepper = build_sampler(sampler, order)
    if SAMPLERS[sampler].calls_per_step > 1:
        raise ValueError(f"sampler must call the model once a step for visited rollouts, got {sampler!r}")
    clean, noise = in_float(clean, noise)
    journey = prepare(plan, clean, noise, schedule=schedule, kind=kind)
    clean, noise = clean[journey.items], noise[journey.items]
    state = state_at(journey.places[0], precise(clean), precise(noise))
    memory: Memory = ()
    trained = 0
    for depth in count():
        here, present, moving = journey.places[depth].first(len(state)), len(state), journey.active(depth)
        true = state_at(here, clean[:present], noise[:present])
        at = Visit(
            depth, moving == 0, journey.items[:present], journey.order[:present],
            true if depth == 0 else state.to(clean.dtype), true, here,
        )  # fmt: skip
        prediction = train(at)
        trained += present
        if moving == 0:
            return trained
        known = _Known(prediction[:moving])
        model = Model(known, journey.items[:moving], schedule=schedule, kind=kind, dtype=clean.dtype)
        memory = tuple(past.first(moving) for past in memory)
        there = journey.places[depth + 1].first(moving)
        state, memory = stepper.step(model, state[:moving], here.first(moving), there, memory)
    raise AssertionError("unreachable: every rollout ends")


@dataclass(frozen=True)
class _Known:
    """A denoiser whose answer has been given: the training forward's."""

    prediction: Tensor

    def __call__(self, noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return self.prediction
