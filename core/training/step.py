"""One micro-step: noise, roll, predict, target, loss, backward."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from core.evaluation.drift import rolled_drift
from core.noise.denoiser import evaluation_mode
from core.noise.schedule import NoiseSchedule
from core.rollout.engine import roll
from core.rollout.target import training_target
from core.training.batches import Batch
from core.training.objective import min_snr_weight, squared_error

Predict = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class StepOptions:
    """What of the configuration reaches the step.

    Attributes:
        schedule: noise schedule.
        kind: what the network predicts.
        sampler: name in ``SAMPLERS``.
        order: of unipc and dpm.
        target: training target's rule, "anchored" or "original".
        snr_gamma: of the min-SNR weights; None is none.
        m2: mean square of the training latents, for the drift's scale.
    """

    schedule: NoiseSchedule
    kind: str
    sampler: str
    order: int
    target: str
    snr_gamma: float | None
    m2: float


@dataclass(frozen=True)
class StepOutcome:
    """What a micro-step found, still on the device.

    Attributes:
        loss: weighted sum that was sent backward.
        errors: each item's squared error, unweighted.
        steps: rollout steps of each item, on the CPU.
        drift: M1 of the rolled items; None when none was rolled.
        calls: model calls of the rollout.
        forwards: sample-forwards of the rollout.
    """

    loss: Float[Tensor, ""]
    errors: Float[Tensor, "batch"]
    steps: Tensor
    drift: Tensor | None
    calls: int
    forwards: int


def micro_step(network: nn.Module, predict: Predict, batch: Batch, options: StepOptions) -> StepOutcome:
    """Rolls the batch out, trains where it lands, and returns the loss with its graph."""

    def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return predict(network, noisy, timestep, batch.condition[items])

    # switching thousands of submodules costs a tenth of a small model's step: only where there is something to roll
    with evaluation_mode(network) if batch.plan.longest > 0 else nullcontext():
        result = roll(
            denoiser, batch.clean, batch.noise, batch.plan, schedule=options.schedule, kind=options.kind,
            sampler=options.sampler, order=options.order,
        )  # fmt: skip
    timestep = batch.plan.target.to(batch.clean.device)
    alpha, sigma = options.schedule.alpha(timestep), options.schedule.sigma(timestep)
    rolled = batch.plan.steps > 0
    target = training_target(
        options.target, result.rolled, batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=options.kind,
        steps=batch.plan.steps,
    )  # fmt: skip
    errors = squared_error(predict(network, result.rolled, timestep, batch.condition), target)
    weight = batch.weight * min_snr_weight(alpha, sigma, options.kind, options.snr_gamma)
    drift = None
    if rolled.any():
        where = rolled.to(result.rolled.device)
        drift = rolled_drift(result.rolled[where], result.noisy[where], alpha[where], sigma[where], options.m2)
    return StepOutcome(
        (errors * weight).sum(), errors.detach(), batch.plan.steps, drift, result.calls, result.sample_forwards
    )
