"""The loss of each state that is trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.evaluation.drift import squared_drift
from core.noise.schedule import NoiseSchedule
from core.rollout.posterior import PosteriorMean
from core.rollout.reflexflow import ReflexFlow, compensation_weights, direction_loss
from core.rollout.target import training_target
from core.training.tally import Tally

MIN_SNR_KINDS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True)
class Objective:
    """What the model is taught, and how much each state counts.

    Attributes:
        schedule: noise schedule.
        kind: what the network predicts.
        target: training target's rule, one of ``core.rollout.target.RULES``.
        snr_gamma: of the min-SNR weights; None is none.
        m2: mean square of the training latents, for the drift's scale.
        posteriors: over the training pictures of each shape of latents; needed for the rule posterior.
        reflexflow: None is off.
    """

    schedule: NoiseSchedule
    kind: str
    target: str
    snr_gamma: float | None
    m2: float
    posteriors: Mapping[torch.Size, PosteriorMean] = field(default_factory=dict)
    reflexflow: ReflexFlow | None = None


@dataclass(frozen=True)
class States:
    """States that one forward trains on, some of them teacher-forced, some the model's own.

    Attributes:
        noisy: what the network sees.
        teacher_forced: states of the true path at the same timesteps.
        timestep: where they are.
        alpha: there.
        sigma: there.
        clean: their clean latents.
        noise: the noise of their pairs.
        group: candidates of each for the posterior; on the CPU.
        rolled: which are the model's own; on the device.
        own: indices of those; on the device.
        mask: how much each latent pixel counts, 0..1; None: all alike.
    """

    noisy: Float[Tensor, "n ..."]
    teacher_forced: Float[Tensor, "n ..."]
    timestep: Float[Tensor, "n"]
    alpha: Float[Tensor, "n"]
    sigma: Float[Tensor, "n"]
    clean: Float[Tensor, "n ..."]
    noise: Float[Tensor, "n ..."]
    group: Int[Tensor, "n"]
    rolled: Bool[Tensor, "n"]
    own: Int[Tensor, "own"]
    mask: Float[Tensor, "n 1 ..."] | None = None


def state_losses(
    objective: Objective, states: States, prediction: Float[Tensor, "n ..."],
    unbiased: Float[Tensor, "own ..."] | None, tally: Tally,
) -> Float[Tensor, "n"]:  # fmt: skip
    """Each state's loss, min-SNR weights included; what is worth knowing of them goes into the tally.

    Args:
        objective: what is taught.
        states: where.
        prediction: of the network there, with its graph.
        unbiased: with ReflexFlow, the prediction at the teacher-forced states of the rolled ones; else None.
        tally: gets the means.
    """
    aim = _posterior_mean(objective, states, tally)
    target = training_target(
        objective.target, states.noisy, states.clean, states.noise, alpha=states.alpha, sigma=states.sigma,
        kind=objective.kind, steps=states.rolled, posterior=aim,
    )  # fmt: skip
    squares = (prediction.float() - target.float()).pow(2)
    losses = masked_mean(squares, states.mask)
    _note_errors(losses, states, tally)
    _note_drift(objective, states, tally)
    if objective.reflexflow is not None and unbiased is not None:
        parts = _reflexflow(objective.reflexflow, states, prediction, squares, unbiased, aim, tally)
        losses = losses.index_copy(0, states.own, parts)
    return losses * min_snr_weight(states.alpha, states.sigma, objective.kind, objective.snr_gamma)


def _posterior_mean(objective: Objective, states: States, tally: Tally) -> Tensor | None:
    if objective.target != "posterior" or len(states.own) == 0:
        return states.clean if objective.target == "posterior" else None
    posterior = objective.posteriors.get(states.noisy.shape[1:])
    if posterior is None:
        raise ValueError(f"posteriors must have one of shape {tuple(states.noisy.shape[1:])} with target posterior")
    found = posterior(states.noisy, alpha=states.alpha, sigma=states.sigma, group=states.group)
    tally.add("posterior_entropy", found.entropy[states.own])
    tally.add("posterior_nearest", found.nearest[states.own])
    return found.clean


def _reflexflow(
    options: ReflexFlow, states: States, prediction: Tensor, squares: Tensor, unbiased: Tensor, aim: Tensor | None,
    tally: Tally,
) -> Tensor:  # fmt: skip
    """The rolled states' losses; `prediction` is at the same time the biased one that the weights need."""
    own, velocity = states.own, prediction.float()[states.own]
    back_to = (states.clean if aim is None else aim)[own]
    mask = None if states.mask is None else states.mask[own]
    direction = direction_loss(velocity, states.noisy[own], back_to, mask)
    weights = compensation_weights(velocity, unbiased, options.alpha, mask)
    error = masked_mean(weights * squares[own], mask)
    tally.add("reflexflow_direction", direction)
    tally.add("reflexflow_error", error)
    tally.add("reflexflow_spread_squared", (weights - 1).square().flatten(1).mean(1))
    return options.beta1 * direction + options.beta2 * error


def masked_mean(values: Float[Tensor, "n ..."], mask: Float[Tensor, "n 1 ..."] | None) -> Float[Tensor, "n"]:
    """Each item's mean over its latent, by weight.

    An item counts as much as any other, however small its mask is; one of whose crop nothing counts has the mean 0.

    Args:
        values: of the latent's elements.
        mask: how much each pixel counts, 0..1; None: all alike.
    """
    if mask is None:
        return values.flatten(1).mean(1)
    weight = mask.expand_as(values).flatten(1)
    return (values.flatten(1) * weight).sum(1) / weight.sum(1).clamp_min(torch.finfo(weight.dtype).tiny)


def _note_errors(errors: Tensor, states: States, tally: Tally) -> None:
    count = len(states.own)
    rolled = torch.where(states.rolled, errors, 0.0)
    tally.add("loss_rolled", rolled, count)
    tally.add("loss_teacher_forced", errors - rolled, len(errors) - count)


def _note_drift(objective: Objective, states: States, tally: Tally) -> None:
    """M1, and the energies whose ratio is V."""
    if len(states.own) == 0:
        return
    rolled, true = states.noisy[states.own].float(), states.teacher_forced[states.own].float()
    alpha, sigma = states.alpha[states.own], states.sigma[states.own]
    tally.add("m1_squared", squared_drift(rolled, true, alpha, sigma, objective.m2))
    tally.add("energy_rolled", rolled.square().flatten(1).mean(1))
    tally.add("energy_true", true.square().flatten(1).mean(1))


def min_snr_weight(
    alpha: Float[Tensor, "batch"], sigma: Float[Tensor, "batch"], kind: str, gamma: float | None
) -> Float[Tensor, "batch"]:
    """Min-SNR-γ (Hang et al. 2023, section 3.4), from the timestep that is trained.

    With snr = alpha²/sigma²: min(snr, γ)/snr for epsilon, min(snr, γ)/(snr + 1) for v, min(snr, γ) for sample; written
    so that alpha = 0 and sigma = 0 are finite. ``gamma = None`` weights every timestep by 1.

    Raises:
        ValueError: the kind has no such weight (flow matching).
    """
    if gamma is None:
        return torch.ones_like(alpha)
    signal, noise = alpha.square(), sigma.square()
    capped = torch.minimum(signal, gamma * noise)  # min(snr, γ)·sigma²
    if kind == "epsilon":
        return torch.where(signal > gamma * noise, gamma * noise / signal.clamp(min=1e-12), torch.ones_like(alpha))
    if kind == "v_prediction":
        return capped / (signal + noise)
    if kind == "sample":
        return torch.minimum(signal / noise.clamp(min=1e-12), torch.full_like(alpha, gamma))
    raise ValueError(f"min-SNR weights exist for {', '.join(MIN_SNR_KINDS)}, got {kind}")
