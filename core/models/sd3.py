"""Stable Diffusion 3 and 3.5: a flow matching transformer, two CLIP encoders, and a T5 encoder that may be absent."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import StableDiffusion3Pipeline
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from core.models.flow import KIND, check_flow, resolution_shift
from core.models.loading import check_autoencoder, lists_part
from core.models.lora_targets import CLIP_ENCODERS
from core.models.lora_targets import SD3 as SD3_TARGETS
from core.models.packing import pack, unpack
from core.models.pipeline_family import PipelineFamily, distinct
from core.models.single_file import load_model


class SD3(PipelineFamily):
    """Rows of a condition: tokens of all encoders, the pooled prompt of the two CLIP encoders.

    Without its third encoder the pipeline gives zeros for that encoder's tokens. Implements
    :class:`core.models.family.Family`.
    """

    part = "transformer"
    encoders = ("text_encoder", "text_encoder_2", "text_encoder_3")
    learning = CLIP_ENCODERS["sd3"]
    targets = SD3_TARGETS

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, variant: str | None = None, *,
        single_file_config: str | None = None, precision: torch.dtype = torch.float32,
    ) -> "SD3":  # fmt: skip
        """Reads a local diffusers folder, a hub id where the hub can be reached, or a single file.

        Raises:
            DataError: nothing at ``path`` loads as a Stable Diffusion 3 pipeline.
        """
        parts = ["transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"]
        third = lists_part(path if single_file_config is None else single_file_config, "text_encoder_3")
        pipeline = load_model(
            StableDiffusion3Pipeline, path, revision, variant, single_file_config, network=cls.part,
            precision=precision, encoders=cls.encoders,
            parts=[*parts, *(("text_encoder_3", "tokenizer_3") if third else ())],
            weighted=("transformer", "vae", *cls.encoders), advice="check its family",
            **({} if third else {"text_encoder_3": None, "tokenizer_3": None}),
        )  # fmt: skip
        check_flow(pipeline, path)
        check_autoencoder(pipeline, path, pipeline.transformer.config["in_channels"])
        return cls(pipeline, KIND)

    @property
    def resolution_multiple(self) -> int:
        """Pixels that one token stands for."""
        return self.pipeline.vae_scale_factor * self.pipeline.patch_size

    @property
    def largest_resolution(self) -> int:
        """The side up to which the transformer has positions."""
        return self.resolution_multiple * self.network.config["pos_embed_max_size"]

    @property
    def prompting(self) -> dict[str, Any]:
        """The width of a token too, which zeros in place of T5's have from the transformer."""
        return {**super().prompting, "width": self.network.config["joint_attention_dim"]}

    def renew(
        self, condition: Float[Tensor, "n rows width"], prompts: Sequence[str | None]
    ) -> Float[Tensor, "n rows width"]:
        """Tokens of both CLIP encoders and their pooled prompt; T5's tokens stay, and T5 is not asked."""
        texts, which = distinct(prompts)
        device = self.encodes_on
        found = [self.pipeline._get_clip_prompt_embeds(texts, device=device, clip_model_index=i) for i in range(2)]
        told = torch.cat([tokens for tokens, _ in found], dim=-1)[which].to(condition.device)
        pooled = torch.cat([each for _, each in found], dim=-1)[which].to(condition.device)
        before, _ = unpack(condition, (pooled.shape[1],))
        told = pad(told, (0, before.shape[2] - told.shape[2]))
        return pack(torch.cat([told.float(), before[:, told.shape[1] :]], dim=1), pooled)

    def _encoded(self, texts: list[str]) -> Float[Tensor, "n rows width"]:
        """Tokens and pooled prompt as the pipeline itself encodes them."""
        tokens, _, pooled, _ = self.pipeline.encode_prompt(
            texts, None, None, device=self.encodes_on, do_classifier_free_guidance=False
        )
        return pack(tokens, pooled)

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward, the velocity towards the noise, returned in float32."""
        dtype = self.dtype
        tokens, pooled = unpack(condition, (self.network.config["pooled_projection_dim"],))
        return network(
            hidden_states=noisy.to(dtype), timestep=timestep, encoder_hidden_states=tokens.to(dtype),
            pooled_projections=pooled.to(dtype), return_dict=False,
        )[0].float()  # fmt: skip

    def _timing(self, steps: int, size: int) -> dict[str, Any]:
        if not self.pipeline.scheduler.config.get("use_dynamic_shifting"):
            return {}
        tokens = (size // self.resolution_multiple) ** 2
        return {"mu": resolution_shift(self.pipeline.scheduler, tokens, 1.16)}
