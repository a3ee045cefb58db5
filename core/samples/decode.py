"""Clean latents as pictures."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

BATCH = 8


@torch.inference_mode()
def decode(pipeline: Any, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 height width"]:
    """What the pipeline itself would show of scaled latents, in 0..1, float32 on the CPU."""
    vae = pipeline.vae
    pictures = [
        pipeline.image_processor.postprocess(
            vae.decode(chunk.to(vae.device, vae.dtype) / vae.config["scaling_factor"], return_dict=False)[0],
            output_type="pt",
        )
        for chunk in latents.split(BATCH)
    ]
    return torch.cat(pictures).float().cpu()
