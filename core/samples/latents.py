"""Samples as clean latents, not decoded: what the end-of-chain scores are taken on."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.samples.generate import Recipe


@torch.inference_mode()
def sample_latents(
    pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe, *, on_step: Callable[[], None]
) -> Float[Tensor, "n c h w"]:
    """One latent a seed, drawn as :func:`core.samples.generate.generate` draws pictures, in float32 on the CPU.

    Args:
        pipeline: a diffusers text-to-image pipeline.
        prompts: taken in turn, seed by seed.
        seeds: of the first noise, each on a CPU generator of its own.
        recipe: steps, guidance, size.
        on_step: called after each sampling step; an exception that it raises ends the drawing.
    """

    def callback(_pipeline: Any, _index: int, _timestep: Any, kwargs: dict) -> dict:
        on_step()
        return kwargs

    drawn = []
    for start in range(0, len(seeds), recipe.batch):
        chunk = range(start, min(start + recipe.batch, len(seeds)))
        drawn.append(
            pipeline(
                [prompts[index % len(prompts)] for index in chunk],
                num_inference_steps=recipe.steps,
                guidance_scale=recipe.guidance,
                generator=[torch.Generator().manual_seed(seeds[index]) for index in chunk],
                height=recipe.size,
                width=recipe.size,
                output_type="latent",
                callback_on_step_end=callback,
            ).images
        )
    return torch.cat(drawn).float().cpu()
