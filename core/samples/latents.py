"""Samples as clean latents, not decoded: what the end-of-chain scores are taken on."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from core.models.family import Family
from core.samples.generate import Recipe


def sample_latents(
    family: Family, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe, *, on_step: Callable[[], None]
) -> Float[Tensor, "n c h w"]:
    """One latent a seed, drawn as :func:`core.samples.generate.generate` draws pictures, in float32 on the CPU.

    Args:
        family: the base model, with or without an adapter.
        prompts: taken in turn, seed by seed.
        seeds: of the first noise, each on a CPU generator of its own.
        recipe: steps, guidance, size.
        on_step: called after each sampling step; an exception that it raises ends the drawing.
    """
    drawn = []
    for start in range(0, len(seeds), recipe.batch):
        chunk = range(start, min(start + recipe.batch, len(seeds)))
        drawn.append(
            family.sample(
                [prompts[index % len(prompts)] for index in chunk],
                [seeds[index] for index in chunk],
                steps=recipe.steps,
                guidance=recipe.guidance,
                size=recipe.size,
                on_step=on_step,
            )
        )
    return torch.cat(drawn).float().cpu()
