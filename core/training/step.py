"""One micro-step: noise, roll, predict, target, loss, backward."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.noise.denoiser import Denoiser, evaluation_mode
from core.rollout.engine import RolloutResult, roll
from core.rollout.plan import RolloutPlan
from core.training.batches import Batch
from core.training.controls import disturbed, not_rolled
from core.training.objective import Objective, States, state_losses
from core.training.tally import Tally

Predict = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class StepOptions:
    """What of the configuration reaches the step.

    Attributes:
        objective: what is taught.
        mode: "fresh" or "visited".
        sampler: name in ``SAMPLERS``.
        order: of unipc and dpm.
        guidance_scale: of classifier-free guidance inside fresh rollouts; 1 is none.
        unprompted: the same conditions without their prompts, for guidance.
    """

    objective: Objective
    mode: str
    sampler: str
    order: int
    guidance_scale: float = 1.0
    unprompted: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Trainer:
    """The network in its two roles, and how gradients leave the step.

    Attributes:
        network: trained; wrapped where there are several processes.
        bare: the same network unwrapped, for forwards without gradient, whose number may differ between processes.
        predict: one forward in the base model's own kind.
        backward: sends a loss backward; its graph is gone afterwards.
        held_back: a context in which ``backward`` keeps gradients on this process.
    """

    network: nn.Module
    bare: nn.Module
    predict: Predict
    backward: Callable[[Tensor], None]
    held_back: Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class StepOutcome:
    """What a micro-step found, still on the device.

    Attributes:
        loss: weighted sum that was sent backward.
        tally: means of what happened at the states.
        plan: of the items, on the CPU.
        trained: states that were trained on.
        calls: model calls that trained nothing.
        forwards: sample-forwards in those.
    """

    loss: Float[Tensor, ""]
    tally: Tally
    plan: RolloutPlan
    trained: int
    calls: int
    forwards: int


def fresh_step(trainer: Trainer, batch: Batch, options: StepOptions) -> StepOutcome:
    """Rolls the batch out without gradient and trains where it lands.

    With a control in the batch nothing is rolled out: its noise takes the rollout's place.
    """
    objective, tally = options.objective, Tally()
    calls = forwards = 0
    unbiased = None
    rolls = batch.plan.longest > 0
    plan = batch.plan if batch.disturbance is None else not_rolled(batch.plan)
    # switching thousands of submodules costs a tenth of a small model's step: only where there is something to roll
    with evaluation_mode(trainer.bare) if rolls else nullcontext():
        result = roll(
            _denoiser(trainer, batch, options), batch.clean, batch.noise, plan, schedule=objective.schedule,
            kind=objective.kind, sampler=options.sampler, order=options.order,
            forwards_per_item=2 if options.guidance_scale > 1 else 1,
        )  # fmt: skip
        states = _landed(batch, result)
        if batch.disturbance is not None:
            states = disturbed(states, batch.disturbance, batch.plan, objective.m2)
        if objective.reflexflow is not None and rolls:
            unbiased = predict_teacher_forced(trainer, states, batch.condition[states.own])
            calls, forwards = 1, len(states.own)
    prediction = trainer.predict(trainer.network, states.noisy, states.timestep, batch.condition)
    loss = (state_losses(objective, states, prediction, unbiased, tally) * batch.weight).sum()
    trainer.backward(loss)
    return StepOutcome(
        loss.detach(), tally, batch.plan, len(batch.clean), calls + result.calls,
        forwards + result.sample_forwards,
    )  # fmt: skip


@torch.no_grad()
def predict_teacher_forced(trainer: Trainer, states: States, condition: Tensor) -> Tensor:
    """What the network predicts on the true path where rolled states are trained: one call."""
    return trainer.predict(trainer.bare, states.teacher_forced[states.own], states.timestep[states.own], condition)


def _denoiser(trainer: Trainer, batch: Batch, options: StepOptions) -> Denoiser:
    def plain(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return trainer.predict(trainer.bare, noisy, timestep, batch.condition[items])

    def guided(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        """Classifier-free guidance (Ho & Salimans 2022): both predictions in one call."""
        assert options.unprompted is not None
        captions = batch.condition[items]
        both = torch.cat([captions, options.unprompted(captions)])
        twice = trainer.predict(trainer.bare, torch.cat([noisy, noisy]), torch.cat([timestep, timestep]), both)
        conditional, unconditional = twice.chunk(2)
        return unconditional + options.guidance_scale * (conditional - unconditional)

    return guided if options.guidance_scale > 1 else plain


def _landed(batch: Batch, result: RolloutResult) -> States:
    place = result.target
    return States(
        noisy=result.rolled, teacher_forced=result.noisy, timestep=place.timestep.float(), alpha=place.alpha.float(),
        sigma=place.sigma.float(), clean=batch.clean, noise=batch.noise, group=batch.group, rolled=result.was_rolled,
        own=result.own, mask=batch.mask,
    )  # fmt: skip
