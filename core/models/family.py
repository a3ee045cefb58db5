"""What the trainer asks of a model family; one file a family implements it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.noise.schedule import NoiseSchedule


@runtime_checkable
class Family(Protocol):
    """A loaded base model.

    Attributes:
        pipeline: the diffusers pipeline, which samples with whatever the network has learnt.
        network: the denoising network that takes the adapter; all its own weights are frozen.
        schedule: the noise schedule that the base was trained on.
        kind: what the network predicts.
    """

    pipeline: Any
    network: nn.Module
    schedule: NoiseSchedule
    kind: str

    @classmethod
    def load(cls, path: str, revision: str | None = None, variant: str | None = None) -> "Family":
        """Reads the base.

        Raises:
            DataError: ``path`` is no such model; the sentence says what to do.
        """
        ...

    def to(self, device: torch.device) -> None:
        """Moves all parts."""
        ...

    def lora_targets(self, name: str) -> list[str]:
        """The module names that take an adapter for ``lora_targets = name``."""
        ...

    def encode_pictures(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n c h w"]:
        """Pictures in -1..1 to scaled latents."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to conditions, one row each."""
        ...

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward of ``network`` (the adapted, maybe wrapped one) in its own ``kind``."""
        ...

    def save_adapter(self, folder: Path, network: nn.Module, metadata: dict[str, str]) -> Path:
        """Writes the LoRA as a diffusers file that ``pipe.load_lora_weights`` reads; returns its path."""
        ...
