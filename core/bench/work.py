"""The arithmetic of a DreamBooth step, counted on tensors that have shapes and no values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from diffusers.loaders.peft import PeftAdapterMixin
from peft import LoraConfig
from torch.utils.flop_counter import FlopCounterMode

from core.bench.small_sd15 import TOKENS, Size, make_networks
from core.models.lora_targets import UNET


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a batch.

    Attributes:
        step: the UNet forward and backward, with its LoRA.
        pictures: the autoencoder's encoder.
        prompts: the text encoder.
    """

    step: int
    pictures: int
    prompts: int

    @property
    def gain(self) -> float:
        """How many times as fast a step is without encoding in it, were all operations equally fast."""
        return (self.step + self.pictures + self.prompts) / self.step


@lru_cache
def count(size: Size, batch: int, rank: int) -> Work:
    """What a step does at that size."""
    latent = size.side // 8
    with torch.device("meta"):
        unet, vae, text_encoder = make_networks(size)
        for part in (unet, vae, text_encoder):
            part.requires_grad_(False)
        assert isinstance(unet, PeftAdapterMixin)
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=UNET["attention"]))
        noisy, timestep = torch.empty(batch, 4, latent, latent), torch.empty(batch)
        condition = torch.empty(batch, TOKENS, int(unet.config["cross_attention_dim"]))
        pictures = torch.empty(batch, 3, size.side, size.side)
        tokens = torch.empty(batch, TOKENS, dtype=torch.long)
        return Work(
            step=_count(lambda: unet(noisy, timestep, condition).sample.mean().backward()),
            pictures=_count(lambda: vae.encode(pictures)),
            prompts=_count(lambda: text_encoder(tokens)),
        )


def _count(work: Callable[[], object]) -> int:
    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return counter.get_total_flops()
