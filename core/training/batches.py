"""What one micro-step trains on, drawn for the global batch; each process takes its slice."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.latents import LatentSet
from core.rollout.plan import RolloutPlan, draw_plan
from core.rollout.visited import draw_blocks
from core.training.candidates import EMPTY_GROUP
from core.training.controls import Control, Disturbance
from core.training.streams import Purpose, key, stream
from core.training.timesteps import TIMESTEPS

Frame = Callable[[Tensor, Tensor], Tensor]
"""Conditions (n, rows, width) and framings (n, 6) to conditions that say how each picture was cut."""


@dataclass(frozen=True)
class Position:
    """Where in a run a micro-step lies: optimizer ``step`` from 0, ``micro`` step within it."""

    step: int
    micro: int


@dataclass(frozen=True)
class Batch:
    """One process's share of a micro-step.

    Attributes:
        clean: latents.
        noise: the noise that is mixed in.
        condition: one row an item.
        plan: where each item starts its rollout and where it lands; ``plan.target`` is the trained timestep.
        weight: share of each item in the loss: the losses' weighted sum is the mean over the global batch.
        share: in mode visited, the share of each of an item's states in its loss, the noisiest first.
        group: which pictures share each item's condition, see ``core.training.candidates``; on the CPU.
        disturbance: what a control adds to what the network sees; None without one.
        mask: how much each latent pixel counts in the loss, 0..1; None: all alike.
        prompts: what each condition was made of; None where the caption was dropped.
    """

    clean: Float[Tensor, "batch c h w"]
    noise: Float[Tensor, "batch c h w"]
    condition: Tensor
    plan: RolloutPlan
    weight: Float[Tensor, "batch"]
    share: Float[Tensor, "states batch"]
    group: Int[Tensor, "batch"]
    disturbance: Disturbance | None = None
    mask: Float[Tensor, "batch 1 h w"] | None = None
    prompts: tuple[str | None, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """On a device; the plan stays on the CPU, where the engine reads it."""
        values = (self.clean, self.noise, self.condition, self.weight, self.share)
        clean, noise, condition, weight, share = (value.to(device, non_blocking=True) for value in values)
        disturbance = None if self.disturbance is None else self.disturbance.to(device)
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return Batch(clean, noise, condition, self.plan, weight, share, self.group, disturbance, mask, self.prompts)


@lru_cache(maxsize=8)
def permutation(seed: int, purpose: Purpose, epoch: int, count: int) -> list[int]:
    """The order of an epoch's places."""
    return torch.randperm(count, generator=stream(seed, purpose, epoch)).tolist()


def shuffled(seed: int, purpose: Purpose, first: int, size: int, order: Int[Tensor, "places"]) -> list[int]:
    """Picture indices of the data stream's places ``first`` to ``first + size``: each epoch is a new permutation.

    Args:
        seed: of the stream.
        purpose: of the stream.
        first: place, counted over all epochs.
        size: how many places.
        order: the picture at each place of an epoch before it is shuffled; repeated pictures stand there repeatedly.
    """
    count = len(order)
    places = [permutation(seed, purpose, place // count, count)[place % count] for place in range(first, first + size)]
    return order[places].tolist()


@dataclass(frozen=True)
class Source:
    """One set of pictures in the batch.

    Attributes:
        pictures: the encoded set.
        order: stream that orders the pictures.
        variant: stream that picks crop and side.
        loss_weight: of the set's mean loss.
        groups: of each prompt of the set, see ``core.training.candidates``.
        names: of the pictures' files, in the set's order, for people; may be empty.
    """

    pictures: LatentSet
    order: Purpose
    variant: Purpose
    loss_weight: float
    groups: Int[Tensor, "prompts"]
    names: tuple[str, ...] = ()


class BatchStream:
    """Draws batches by position.

    The instance pictures come first, then as many class pictures where prior preservation is on.
    """

    def __init__(
        self, sources: list[Source], *, seed: int, batch_size: int, micro_steps: int, caption_dropout: float,
        kind: str, last: int, rollout: Any, grid: Tensor | None, process: int = 0, processes: int = 1,
        control: Control | None = None, frame: Frame = lambda condition, framing: condition,
        turn: Callable[[int], int] = lambda micro: micro,
    ):  # fmt: skip
        self.sources, self.seed, self.batch_size, self.micro_steps = sources, seed, batch_size, micro_steps
        self.caption_dropout, self.kind, self.last = caption_dropout, kind, last
        self.rollout, self.grid = rollout, grid
        self.process, self.processes = process, processes
        self.control, self.frame, self.turn = control, frame, turn

    @property
    def buckets(self) -> list[list[Source]]:
        """The sources by the size of their pictures: there is one."""
        return [self.sources]

    @property
    def items(self) -> int:
        """Items of the global batch in one optimizer step."""
        return self.batch_size * self.processes * len(self.sources) * self.micro_steps

    def names(self, step: int) -> list[str]:
        """The files of the pictures in a step's global batch, each once, in the order of the batch."""
        found = [name for micro in range(self.micro_steps) for name in self.names_of(Position(step, micro))]
        return list(dict.fromkeys(found))

    def names_of(self, position: Position) -> list[str]:
        """The files of the pictures in a micro-step's global batch."""
        named = [source for source in self.sources if source.names]
        return [source.names[index] for source in named for index in self._picks(source, position)]

    def _picks(self, source: Source, position: Position) -> list[int]:
        """The pictures of a source in the global batch."""
        size = self.batch_size * self.processes
        first = self.turn(position.step * self.micro_steps + position.micro) * size
        return shuffled(self.seed, source.order, first, size, source.pictures.order)

    def draw(self, position: Position, probability: float) -> Batch:
        """This process's share of the micro-step at ``position``, on the CPU."""
        share = self._share()
        clean, condition, weight, group, mask, prompts = self._pictures(position)
        timestep = self._timesteps(position, len(clean))
        noise = torch.randn(clean.shape, generator=stream(self.seed, "noise", position.step, position.micro))
        plan, of_item = self._plan(position, timestep, probability)
        mine = RolloutPlan(
            source=plan.source[share], target=plan.target[share], steps=plan.steps[share], grid=plan.grid
        )
        return Batch(
            clean[share], noise[share], condition[share], mine, weight[share], of_item[:, share], group[share],
            self._disturbance(position, clean.shape, share), None if mask is None else mask[share],
            tuple(prompts[index] for index in share.tolist()),
        )  # fmt: skip

    def _disturbance(self, position: Position, shape: torch.Size, share: Tensor) -> Disturbance | None:
        if self.control is None:
            return None
        whole = self.control.draw(shape, self.seed, position.step, position.micro)
        return replace(whole, noise=whole.noise[share])

    def _plan(self, position: Position, timestep: Tensor, probability: float) -> tuple[RolloutPlan, Tensor]:
        whole = torch.ones(1, len(timestep))
        if self.rollout.max_step_offset == 0:  # the other rollout options are kept, and have no effect
            return RolloutPlan(timestep, timestep, torch.zeros(len(timestep), dtype=torch.long)), whole
        generator = stream(self.seed, "plan", position.step, position.micro)
        common = {"probability": probability, "last": self.last, "generator": generator, "grid": self.grid}
        if self.rollout.mode == "fresh":
            return draw_plan(self.rollout, timestep, **common), whole
        density = TIMESTEPS[self.kind].density(self.last)
        plan, of_item = draw_blocks(self.rollout, timestep, density=density, **common)
        return plan, of_item.float()

    def _share(self) -> Tensor:
        one = torch.arange(self.batch_size) + self.process * self.batch_size
        return torch.cat([one + index * self.batch_size * self.processes for index in range(len(self.sources))])

    def _pictures(self, position: Position) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, list[str | None]]:
        size = self.batch_size * self.processes
        clean, condition, framing, weight, group, masks, prompts = [], [], [], [], [], [], []
        for source in self.sources:
            pictures = source.pictures
            picks = torch.tensor(self._picks(source, position))
            chance = torch.rand(size, generator=stream(self.seed, source.variant, position.step, position.micro))
            variant = (chance * pictures.variants[picks]).long()
            chosen = pictures.first[picks] + variant
            clean.append(pictures.latents[chosen])
            framing.append(pictures.framing[chosen])
            if pictures.masks is not None:
                masks.append(pictures.masks[chosen])
            condition.append(pictures.conditions[pictures.prompt[picks]])
            prompts += [pictures.prompts[index] for index in pictures.prompt[picks].tolist()]
            weight.append(torch.full((size,), source.loss_weight / size))
            group.append(source.groups[pictures.prompt[picks]])
        dropped = self._dropped(position, len(prompts))
        captions, groups = self._drop_captions(torch.cat(condition), torch.cat(group), dropped)
        framed = self.frame(captions, torch.cat(framing).float())
        told = [None if gone else prompt for prompt, gone in zip(prompts, dropped.tolist(), strict=True)]
        return torch.cat(clean), framed, torch.cat(weight), groups, torch.cat(masks) if masks else None, told

    def _dropped(self, position: Position, count: int) -> Bool[Tensor, "batch"]:
        chance = torch.rand(count, generator=stream(self.seed, "caption_dropout", position.step, position.micro))
        return chance < self.caption_dropout

    def _drop_captions(self, condition: Tensor, group: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        of_condition = dropped.view(-1, *[1] * (condition.dim() - 1))
        kept = torch.where(of_condition, self.sources[0].pictures.empty, condition)
        return kept, torch.where(dropped, EMPTY_GROUP, group)

    def _timesteps(self, position: Position, count: int) -> Tensor:
        generator = stream(self.seed, "timestep", position.step, position.micro)
        return TIMESTEPS[self.kind].draw(count, self.last, generator)


def seed_dropout(seed: int, position: Position, process: int) -> None:
    """Sets the global generator, which LoRA dropout draws from, to this micro-step's own stream."""
    torch.manual_seed(key(seed, "dropout", position.step, position.micro, process))
