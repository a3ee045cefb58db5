"""What the trainer asks of a model family; one file a family implements it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.noise.schedule import NoiseSchedule


@runtime_checkable
class Family(Protocol):
    """A loaded base model.

    A condition is one row an item, ``(n, rows, width)``: only the family knows what its rows hold.

    Attributes:
        pipeline: the diffusers pipeline, which samples with whatever the network has learnt.
        network: the denoising network that takes the adapter; all its own weights are frozen.
        part: the network's name in the pipeline and in LoRA files: ``unet`` or ``transformer``.
        schedule: the noise schedule that the base was trained on.
        kind: what the network predicts.
        takes_guidance: whether it can be guided by a second forward without the prompt.
        guides_samples: whether the pipeline's ``guidance_scale`` has an effect.
        unguided: the guidance at which sampling asks the network as training does: 1, or the one that it is told.
        resolution_multiple: pixels; sides of pictures are whole multiples of it.
        largest_resolution: pixels; longest side that the network takes, None where it takes any.
        prompting: what a condition depends on beside text encoders and tokenizers, as plain JSON values.
    """

    pipeline: Any
    network: nn.Module
    part: str
    schedule: NoiseSchedule
    kind: str
    takes_guidance: bool
    guides_samples: bool
    unguided: float
    resolution_multiple: int
    largest_resolution: int | None
    prompting: Mapping[str, Any]

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, variant: str | None = None, *,
        single_file_config: str | None = None, precision: torch.dtype = torch.float32,
    ) -> "Family":  # fmt: skip
        """Reads the base. A family whose network is told its guidance also takes ``embedded_guidance``.

        Args:
            path: of a diffusers folder or a single file, or a hub id.
            revision: of a hub model.
            variant: of the weight files.
            single_file_config: for a single file, the diffusers folder that lends what a file does not hold.
            precision: of the weights of network and text encoders; the autoencoder is always float32.

        Raises:
            DataError: ``path`` is no such model; the sentence says what to do.
        """
        ...

    def lora_targets(self, name: str) -> list[str]:
        """The module names that take an adapter for ``lora_targets = name``."""
        ...

    def clip_encoders(self) -> dict[str, nn.Module]:
        """The text encoders that can learn, by their names in the pipeline and in LoRA files."""
        ...

    def told_layers(self, name: str) -> int:
        """How many of such an encoder's layers reach the network, counted from its first."""
        ...

    def adapted_encoders(self) -> dict[str, nn.Module]:
        """Those of ``clip_encoders`` that bear an adapter."""
        ...

    def encode_pictures(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n c h w"]:
        """Pictures in -1..1 to scaled latents."""
        ...

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 height width"]:
        """What the pipeline itself would show of scaled latents, in 0..1, float32 on the CPU."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Float[Tensor, "n rows width"]:
        """Prompts to conditions, one row each."""
        ...

    def empty_condition(self) -> Float[Tensor, "rows width"]:
        """What the pipeline itself takes as the condition without a prompt, for caption dropout and guidance."""
        ...

    def renew(
        self, condition: Float[Tensor, "n rows width"], prompts: Sequence[str | None]
    ) -> Float[Tensor, "n rows width"]:
        """Conditions with what ``clip_encoders`` say now in them, and its gradient; all else in them stays.

        Args:
            condition: as the encoders once gave it, framed or not.
            prompts: of each item; None is no prompt, as in ``empty_condition``.
        """
        ...

    def unprompted(
        self, condition: Float[Tensor, "n rows width"], empty: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "n rows width"]:
        """The same conditions without their prompts, for the second forward of guidance.

        Args:
            condition: framed or not.
            empty: from ``empty_condition``, on the same device.
        """
        ...

    def frame(
        self, condition: Float[Tensor, "n rows width"], framing: Float[Tensor, "n 6"]
    ) -> Float[Tensor, "n rows width"]:
        """Conditions that say how each picture was cut, for a network that is told so; others as they are.

        Args:
            condition: as ``encode_prompts`` gives it; unframed, it stands for a whole picture of the latent's own size.
            framing: original height and width, top and left of the crop, height and width of the crop; pixels.
        """
        ...

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward of ``network`` (the adapted, maybe wrapped one) in its own ``kind``, in float32."""
        ...

    def sampling_grid(self, steps: int, size: int) -> Float[Tensor, "points"]:
        """The timesteps that the pipeline samples at, ascending; without pure noise where it tells nothing.

        Args:
            steps: sampling steps.
            size: side of the picture in pixels: some families shift their timesteps by it.
        """
        ...

    def sample(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: int,
        on_step: Callable[[], None],
    ) -> Float[Tensor, "n c h w"]:  # fmt: skip
        """Draws one clean latent for each prompt and seed, in one batch.

        Args:
            prompts: texts, encoded as they stand.
            seeds: of the first noise, each on a CPU generator of its own; as many as prompts.
            steps: of the pipeline's own scheduler.
            guidance: the pipeline's ``guidance_scale``.
            size: side in pixels.
            on_step: called after each step; an exception that it raises ends the drawing.
        """
        ...

    def save_adapter(self, folder: Path, network: nn.Module, metadata: dict[str, str]) -> Path:
        """Writes the LoRA, the encoders' included, as a diffusers file that ``pipe.load_lora_weights`` reads.

        Returns:
            Path of the file.
        """
        ...
