"""What is measured of the drift at a checkpoint: the cheap subset, with the network as it stands."""

from collections.abc import Callable

from torch import Tensor

from core.evaluation.drift import Probe, paired_probe
from core.evaluation.scores import draw_and_score
from core.runs.drift import ChainScores, DriftRecord
from core.samples.generate import Recipe
from core.training.build import Parts


def probe(parts: Parts, on_step: Callable[[], None]) -> DriftRecord:
    """M1, M2 and V of short paths, and the scores of a few finished samples, in evaluation mode.

    Args:
        parts: of the training; its network is in evaluation mode.
        on_step: called at every forward; an exception that it raises ends the measurement.

    Returns:
        A record of step 0.
    """
    validation = parts.config.validation
    short = _short(parts, on_step) if validation.drift_pairs > 0 else None
    chain = _chain(parts, on_step) if validation.drift_samples > 0 else None
    if short is None:
        return DriftRecord(step=0, chain=chain)
    return DriftRecord(
        step=0, grid=short.timesteps, m1=short.m1, v=short.v, v_channels=short.v_channels, lag=short.lag,
        lag_residual=short.lag_residual, m1_mean=sum(short.m1) / len(short.m1), chain=chain,
        pairs=validation.drift_pairs,
    )  # fmt: skip


def _short(parts: Parts, on_step: Callable[[], None]) -> Probe:
    chosen, device = parts.probe, parts.accelerator.device
    condition = parts.conditions.now(chosen.condition.to(device), chosen.asked)

    def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        on_step()
        return parts.family.predict(parts.family.network, noisy, timestep, condition[items])

    return paired_probe(
        denoiser, chosen.clean.to(device), chosen.noise.to(device), schedule=parts.family.schedule,
        kind=parts.family.kind, grid=chosen.grid,
    )  # fmt: skip


def _chain(parts: Parts, on_step: Callable[[], None]) -> ChainScores:
    """Samples of the instance prompts without guidance, from the same noises in every arm."""
    validation, chosen = parts.config.validation, parts.probe
    recipe = Recipe(validation.validation_num_inference_steps, 1.0, parts.config.data.resolution)
    count, seed = validation.drift_samples, validation.validation_seed
    return draw_and_score(parts.family, chosen.prompts, chosen.training, recipe, count, seed, on_step)[0]
