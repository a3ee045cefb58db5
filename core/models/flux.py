"""FLUX.1: a flow matching transformer over packed latents, distilled from guidance (dev), or from steps too."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import FluxPipeline
from jaxtyping import Float
from torch import Tensor, nn

from core.errors import DataError, Problem
from core.models.flow import KIND, check_flow, resolution_shift
from core.models.guidance import GUIDANCE
from core.models.loading import check_autoencoder, refused
from core.models.lora_targets import CLIP_ENCODERS
from core.models.lora_targets import FLUX as FLUX_TARGETS
from core.models.packing import pack, unpack
from core.models.pipeline_family import PipelineFamily, distinct
from core.models.single_file import load_model

PATCH = 2
"""Latent pixels of a token's side."""
TOKENS = {True: 512, False: 256}
"""Of the T5 encoder: networks with a guidance embedding were trained with the first, schnell with the second."""


class Flux(PipelineFamily):
    """Rows of a condition: the T5 encoder's tokens, the CLIP encoder's pooled prompt.

    Latents stay (n, c, h, w) outside; ``predict`` packs them. Implements :class:`core.models.family.Family`.

    Attributes:
        unguided: what the network is told in training, rollouts and probes; 1 where it is told nothing.
    """

    part = "transformer"
    encoders = ("text_encoder", "text_encoder_2")
    learning = CLIP_ENCODERS["flux"]
    targets = FLUX_TARGETS
    takes_guidance = False

    def __init__(self, pipeline: FluxPipeline, kind: str, embedded_guidance: float | None = None):
        super().__init__(pipeline, kind)
        self.is_told = bool(pipeline.transformer.config["guidance_embeds"])
        self.guides_samples = self.is_told
        if self.is_told:
            self.unguided = GUIDANCE if embedded_guidance is None else embedded_guidance

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, variant: str | None = None, *,
        embedded_guidance: float | None = None, single_file_config: str | None = None,
        precision: torch.dtype = torch.float32,
    ) -> "Flux":  # fmt: skip
        """Reads a local diffusers folder, a hub id where the hub can be reached, or a single file.

        Raises:
            DataError: nothing at ``path`` loads as a FLUX.1 pipeline, or it takes no guidance and one is given.
        """
        parts = ("transformer", "vae", "text_encoder", "text_encoder_2")
        pipeline = load_model(
            FluxPipeline, path, revision, variant, single_file_config, network=cls.part, precision=precision,
            encoders=cls.encoders,
            parts=(*parts, "tokenizer", "tokenizer_2", "scheduler"), weighted=parts, advice="check its family",
        )  # fmt: skip
        check_flow(pipeline, path)
        if "mu" not in inspect.signature(pipeline.scheduler.set_timesteps).parameters:
            name = type(pipeline.scheduler).__name__
            raise refused(f"have a scheduler that can be shifted by resolution, got a {name} in {path!r}")
        check_autoencoder(pipeline, path, pipeline.transformer.config["in_channels"] // PATCH**2)
        if embedded_guidance is not None and not pipeline.transformer.config["guidance_embeds"]:
            rule = f"be unset for a base model without a guidance embedding, got {embedded_guidance} for {path!r}"
            raise DataError([Problem("embedded_guidance", f"embedded_guidance must {rule}")])
        return cls(pipeline, KIND, embedded_guidance)

    @property
    def resolution_multiple(self) -> int:
        """Pixels that one token stands for."""
        return self.pipeline.vae_scale_factor * PATCH

    def lora_targets(self, name: str) -> list[str]:
        """Module name endings, of the single blocks' last layer the whole names: the network's own ends alike."""
        endings = self.targets[name]
        blocks = range(len(self.network.single_transformer_blocks))
        last = [f"single_transformer_blocks.{block}.proj_out" for block in blocks] if "proj_out" in endings else []
        return [ending for ending in endings if ending != "proj_out"] + last

    def renew(
        self, condition: Float[Tensor, "n rows width"], prompts: Sequence[str | None]
    ) -> Float[Tensor, "n rows width"]:
        """The pooled prompt of the CLIP encoder; T5's tokens stay, and T5 is not asked."""
        texts, which = distinct(prompts)
        pooled = self.pipeline._get_clip_prompt_embeds(texts, device=condition.device)[which]
        return pack(unpack(condition, (pooled.shape[1],))[0], pooled)

    def _encoded(self, texts: list[str]) -> Float[Tensor, "n rows width"]:
        """Tokens and pooled prompt as the pipeline itself encodes them."""
        tokens, pooled, _ = self.pipeline.encode_prompt(
            texts, None, device=self.encodes_on, **self._asked
        )  # fmt: skip
        return pack(tokens, pooled)

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward, the velocity towards the noise, returned in float32."""
        dtype, (count, channels, height, width) = self.dtype, noisy.shape
        tokens, pooled = unpack(condition, (self.network.config["pooled_projection_dim"],))
        places = self.pipeline._prepare_latent_image_ids(count, height // PATCH, width // PATCH, noisy.device, dtype)
        predicted = network(
            hidden_states=self.pipeline._pack_latents(noisy.to(dtype).contiguous(), count, channels, height, width),
            timestep=timestep / self.schedule.num_timesteps,
            guidance=noisy.new_full((count,), self.unguided) if self.is_told else None,
            pooled_projections=pooled.to(dtype), encoder_hidden_states=tokens.to(dtype),
            txt_ids=torch.zeros(tokens.shape[1], 3, device=noisy.device, dtype=dtype), img_ids=places,
            return_dict=False,
        )[0].float()  # fmt: skip
        scale = self.pipeline.vae_scale_factor
        return self.pipeline._unpack_latents(predicted, height * scale, width * scale, scale)

    @property
    def _asked(self) -> dict[str, Any]:
        return {"max_sequence_length": TOKENS[self.is_told]}

    def _timing(self, steps: int, size: int) -> dict[str, Any]:
        scheduler, tokens = self.pipeline.scheduler, (size // self.resolution_multiple) ** 2
        own = scheduler.config.get("use_flow_sigmas")  # such a scheduler lays out its own sigmas
        sigmas = {} if own else {"sigmas": np.linspace(1.0, 1 / steps, steps)}
        return {"mu": resolution_shift(scheduler, tokens, 1.15), **sigmas}

    def _unpacked(self, latents: Tensor, size: int) -> Tensor:
        return self.pipeline._unpack_latents(latents, size, size, self.pipeline.vae_scale_factor)
