"""What the families have in common: a frozen diffusers pipeline, its autoencoder, its sampling and its LoRA file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.models.saving import save_lora
from core.noise.grid import inference_grid
from core.noise.schedule import NoiseSchedule

BATCH = 8
"""Pictures that are decoded together."""


class PipelineFamily(ABC):
    """Implements what :class:`core.models.family.Family` asks of any pipeline; a family adds its conditions.

    Attributes:
        part: the network's name in the pipeline.
        encoders: names of the pipeline's text encoders; one of them may be None.
        learning: names of those that can be trained: CLIP encoders.
        targets: module name endings by ``lora_targets``.
    """

    part: ClassVar[str]
    encoders: ClassVar[tuple[str, ...]]
    learning: ClassVar[tuple[str, ...]]
    targets: ClassVar[Mapping[str, Sequence[str]]]
    takes_guidance = guides_samples = True
    unguided = 1.0
    largest_resolution: int | None = None

    def __init__(self, pipeline: Any, kind: str):
        self.pipeline, self.kind = pipeline, kind
        self.network: nn.Module = getattr(pipeline, self.part)
        self.schedule = NoiseSchedule.from_diffusers(pipeline.scheduler)
        for name in (self.part, "vae", *self.encoders):
            part = getattr(pipeline, name)
            if part is not None:
                part.requires_grad_(False)
                part.eval()
        pipeline.set_progress_bar_config(disable=True)

    @property
    def resolution_multiple(self) -> int:
        """Pixels that one latent pixel stands for."""
        return self.pipeline.vae_scale_factor

    @property
    def prompting(self) -> dict[str, Any]:
        """What the pipeline is called with, and its own switches, such as zeros for no prompt."""
        switches = self.pipeline.config.items()
        return {**{name: value for name, value in switches if isinstance(value, bool)}, **self._asked}

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network's frozen weights.

        The network's own ``dtype`` asks all its modules for hooks first, which is felt at every forward of a small one.
        """
        return next(self.network.parameters()).dtype

    @property
    def encodes_on(self) -> torch.device:
        """Where prompts are encoded: a text encoder may lie elsewhere until it is called."""
        encoder = getattr(self.pipeline, self.encoders[0])
        hook = getattr(encoder, "_hf_hook", None)
        return encoder.device if hook is None else hook.execution_device

    def lora_targets(self, name: str) -> list[str]:
        """Module name endings; see ``lora_targets`` in the option table."""
        return list(self.targets[name])

    def clip_encoders(self) -> dict[str, nn.Module]:
        """The text encoders that can learn, by name."""
        return {name: getattr(self.pipeline, name) for name in self.learning}

    def told_layers(self, name: str) -> int:
        """All of them: the last one's output, or what is pooled from it, is told to the network."""
        return self.clip_encoders()[name].config.num_hidden_layers

    def adapted_encoders(self) -> dict[str, nn.Module]:
        """Those that bear an adapter."""
        return {name: part for name, part in self.clip_encoders().items() if hasattr(part, "peft_config")}

    @torch.no_grad()
    def encode_pictures(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n c h w"]:
        """Scaled latents: the mode of the posterior where the autoencoder has one."""
        vae = self.pipeline.vae
        encoded = vae.encode(pictures.to(vae.device, vae.dtype))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return (latents.float() - self._shift) * vae.config["scaling_factor"]

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 height width"]:
        """What the pipeline itself would show of scaled latents, in 0..1, float32 on the CPU."""
        vae = self.pipeline.vae
        pictures = [
            self.pipeline.image_processor.postprocess(
                vae.decode(self._unscaled(chunk).to(vae.device, vae.dtype), return_dict=False)[0], output_type="pt"
            )
            for chunk in latents.split(BATCH)
        ]
        return torch.cat(pictures).float().cpu()

    def unprompted(
        self, condition: Float[Tensor, "n rows width"], empty: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "n rows width"]:
        """The condition without a prompt, as often."""
        return empty.expand_as(condition)

    def empty_condition(self) -> Float[Tensor, "rows width"]:
        """Of the empty prompt, which the pipeline guides away from."""
        return self.encode_prompts([""])[0]

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Float[Tensor, "n rows width"]:
        """Prompts to conditions, one row each."""
        return self._encoded(list(prompts))

    def renew(
        self, condition: Float[Tensor, "n rows width"], prompts: Sequence[str | None]
    ) -> Float[Tensor, "n rows width"]:
        """Encoded whole, with gradient: all of a condition is the encoders' own."""
        texts, which = distinct(prompts)
        return self._encoded(texts)[which].to(condition.device)

    @abstractmethod
    def _encoded(self, texts: list[str]) -> Float[Tensor, "n rows width"]:
        """Texts to conditions, with gradient where an encoder has parameters that learn."""

    def frame(
        self, condition: Float[Tensor, "n rows width"], framing: Float[Tensor, "n 6"]
    ) -> Float[Tensor, "n rows width"]:
        """The conditions as they are: the network is not told how pictures were cut."""
        return condition

    def sampling_grid(self, steps: int, size: int) -> Float[Tensor, "points"]:
        """The pipeline's own timesteps, ascending; an epsilon prediction tells nothing at pure noise."""
        grid = inference_grid(self.pipeline.scheduler, steps, **self._timing(steps, size))
        return grid[self.schedule.alpha(grid) > 0] if self.kind == "epsilon" else grid

    @torch.no_grad()  # not inference mode: weights that a sharded network gathers in it could not be trained with
    def sample(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: int,
        on_step: Callable[[], None],
    ) -> Float[Tensor, "n c h w"]:  # fmt: skip
        """Draws with the pipeline; see :meth:`core.models.family.Family.sample`."""

        def callback(_pipeline: Any, _index: int, _timestep: Any, kwargs: dict) -> dict:
            on_step()
            return kwargs

        drawn = self.pipeline(
            list(prompts), num_inference_steps=steps, guidance_scale=guidance, height=size, width=size,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds], output_type="latent",
            callback_on_step_end=callback, **self._asked,
        ).images  # fmt: skip
        return self._unpacked(drawn, size)

    def save_adapter(self, folder: Path, network: nn.Module, metadata: dict[str, str]) -> Path:
        """Writes ``pytorch_lora_weights.safetensors`` with diffusers keys and the adapters' own configurations."""
        return save_lora(type(self.pipeline), {self.part: network, **self.adapted_encoders()}, folder, metadata)

    @property
    def _shift(self) -> float:
        shift = self.pipeline.vae.config.get("shift_factor")
        return 0.0 if shift is None else shift

    def _unscaled(self, latents: Tensor) -> Tensor:
        return latents / self.pipeline.vae.config["scaling_factor"] + self._shift

    @property
    def _asked(self) -> dict[str, Any]:
        """What else the pipeline is called with."""
        return {}

    def _timing(self, steps: int, size: int) -> dict[str, Any]:
        """What else the pipeline hands to its scheduler."""
        return {}

    def _unpacked(self, latents: Tensor, size: int) -> Tensor:
        """What the pipeline gives as ``output_type="latent"``, as (n, c, h, w)."""
        return latents


def distinct(prompts: Sequence[str | None]) -> tuple[list[str], list[int]]:
    """The different texts, and for each prompt which of them it is; no prompt is encoded as an empty one.

    >>> distinct(["a cat", None, "a cat"])
    (['a cat', ''], [0, 1, 0])
    """
    given = ["" if prompt is None else prompt for prompt in prompts]
    texts = list(dict.fromkeys(given))
    return texts, [texts.index(text) for text in given]
