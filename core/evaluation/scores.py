"""The scores of finished samples, put together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from core.evaluation.chain import (
    band_log_ratio,
    bands_fit,
    channel_log_variance,
    diversity,
    high_frequency_ratio,
    log_variance,
    nearest_distances,
)
from core.evaluation.energy_distance import energy_distance
from core.models.family import Family
from core.runs.drift import ChainScores
from core.samples.generate import Recipe
from core.samples.latents import sample_latents


def chain_scores(
    samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"], *, inference_steps: int, guidance: float
) -> ChainScores:
    """Scores of samples against the training latents; what a set is too small for is NaN or empty.

    Without adherence, which is taken on pictures: ``core.evaluation.adherence``.

    Args:
        samples: clean latents, drawn free-running.
        clean: latents of the training pictures, one a picture.
        inference_steps: that the samples were drawn with.
        guidance: that they were drawn with.
    """
    nearest = nearest_distances(samples, clean)
    energy = energy_distance(samples, clean)
    has_bands = bands_fit(*clean.shape[-2:])
    varied = len(samples) > 1 and len(clean) > 1 and bool((clean[1:] != clean[0]).any())
    return ChainScores(
        samples=len(samples),
        inference_steps=inference_steps,
        guidance=guidance,
        v=log_variance(samples, clean),
        v_channels=channel_log_variance(samples, clean),
        mean_channels=tuple((samples.float().mean((0, 2, 3)) - clean.float().mean((0, 2, 3))).tolist()),
        bands=band_log_ratio(samples, clean) if has_bands else (),
        high=high_frequency_ratio(samples, clean) if has_bands else math.nan,
        nearest=nearest.mean().item(),
        nearest_least=nearest.min().item(),
        diversity=diversity(samples, clean) if varied else math.nan,
        energy_distance=energy.distance,
        energy_p=energy.p,
    )


def draw_and_score(
    family: Family, prompts: Sequence[str], clean: Float[Tensor, "m c h w"], recipe: Recipe, samples: int, seed: int,
    on_step: Callable[[], None],
) -> tuple[ChainScores, Float[Tensor, "n c h w"]]:  # fmt: skip
    """Draws samples and scores them; also the samples, as clean latents.

    Args:
        family: the base model, with its adapter on or off.
        prompts: of the training pictures, taken in turn.
        clean: latents of the training pictures, one a picture.
        recipe: how they are drawn; guidance 1 asks the network as training does.
        samples: how many.
        seed: of the first one's noise; the others follow.
        on_step: called after each sampling step; an exception that it raises ends the drawing.
    """
    asked = replace(recipe, guidance=family.unguided) if recipe.guidance == 1 else recipe
    drawn = sample_latents(family, prompts, range(seed, seed + samples), asked, on_step=on_step)
    scores = chain_scores(drawn, clean.float().cpu(), inference_steps=recipe.steps, guidance=recipe.guidance)
    return scores, drawn
