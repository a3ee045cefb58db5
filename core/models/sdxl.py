"""Stable Diffusion XL: a UNet with two text encoders, which is told how its pictures were cut.

The second part of the cascade, the refiner, is refused: it takes no prompt of the first encoder.
"""

from collections.abc import Sequence

import torch
from diffusers import StableDiffusionXLPipeline
from jaxtyping import Float
from torch import Tensor, nn

from core.models.loading import check_autoencoder, refused
from core.models.lora_targets import CLIP_ENCODERS, UNET
from core.models.packing import pack, unpack
from core.models.pipeline_family import PipelineFamily
from core.models.single_file import load_model
from core.models.unet import KINDS, check_unet

REFINER = "SDXL's refiner only goes on from pictures of the base: take the base"
FRAMING = 6
"""Numbers of the micro-conditioning (Podell et al. 2023, section 2.2): original size, crop, target size."""


class SDXL(PipelineFamily):
    """Rows of a condition: tokens of both encoders side by side, the pooled prompt, the framing.

    A framing of zeros, as ``encode_prompts`` gives it, stands for a whole picture of the latent's own size: what the
    pipeline says when it samples. Implements :class:`core.models.family.Family`.
    """

    part = "unet"
    encoders = learning = CLIP_ENCODERS["sdxl"]
    targets = UNET

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, variant: str | None = None, *,
        single_file_config: str | None = None, precision: torch.dtype = torch.float32,
    ) -> "SDXL":  # fmt: skip
        """Reads a local diffusers folder, a hub id where the hub can be reached, or a single file.

        Raises:
            DataError: nothing at ``path`` loads as an SDXL pipeline, or it is the refiner.
        """
        pipeline = load_model(
            StableDiffusionXLPipeline, path, revision, variant, single_file_config, network=cls.part,
            precision=precision, encoders=cls.encoders,
            parts=("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
            weighted=("unet", "vae", "text_encoder", "text_encoder_2"), advice="check its family",
            strangers={"StableDiffusionXLImg2ImgPipeline": REFINER}, add_watermarker=False,
        )  # fmt: skip
        if pipeline.text_encoder is None or pipeline.config.get("requires_aesthetics_score"):
            raise refused(f"be the base of SDXL, got {path!r}, which is a refiner; {REFINER}")
        check_unet(pipeline, path, ("epsilon", "v_prediction", "sample"))
        check_autoencoder(pipeline, path, pipeline.unet.config["in_channels"])
        _check_micro_conditioning(pipeline, path)
        try:
            return cls(pipeline, KINDS[pipeline.scheduler.config["prediction_type"]])
        except ValueError as error:  # a noise schedule that is none
            raise refused(f"have a scheduler whose noise grows from step to step, got {path!r} ({error})") from error

    def told_layers(self, name: str) -> int:
        """Of the first encoder the last layer is not told; of the second one the pooled prompt is taken from it."""
        return super().told_layers(name) - (1 if name == "text_encoder" else 0)

    def renew(
        self, condition: Float[Tensor, "n rows width"], prompts: Sequence[str | None]
    ) -> Float[Tensor, "n rows width"]:
        """Encoded whole but for the framing, and zeros where the pipeline takes zeros for no prompt."""
        renewed = super().renew(condition, prompts)
        if self.pipeline.config["force_zeros_for_empty_prompt"]:
            prompted = torch.tensor([prompt is not None for prompt in prompts], device=renewed.device)
            renewed = torch.where(prompted[:, None, None], renewed, torch.zeros_like(renewed))
        return self.frame(renewed, unpack(condition, self._lengths)[2])

    def _encoded(self, texts: list[str]) -> Float[Tensor, "n rows width"]:
        """Tokens and pooled prompt as the pipeline itself encodes them; unframed."""
        tokens, _, pooled, _ = self.pipeline.encode_prompt(
            texts, device=self.encodes_on, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return pack(tokens, pooled, tokens.new_zeros(len(tokens), FRAMING))

    def empty_condition(self) -> Float[Tensor, "rows width"]:
        """Zeros where the pipeline takes zeros for no prompt (``force_zeros_for_empty_prompt``)."""
        empty = self.encode_prompts([""])[0]
        return torch.zeros_like(empty) if self.pipeline.config["force_zeros_for_empty_prompt"] else empty

    def frame(
        self, condition: Float[Tensor, "n rows width"], framing: Float[Tensor, "n 6"]
    ) -> Float[Tensor, "n rows width"]:
        """The conditions with the framing in their last row."""
        tokens, pooled, _ = unpack(condition, self._lengths)
        return pack(tokens, pooled, framing.to(condition))

    def unprompted(
        self, condition: Float[Tensor, "n rows width"], empty: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "n rows width"]:
        """No prompt in the same framing, as the pipeline guides."""
        return self.frame(empty.expand_as(condition), unpack(condition, self._lengths)[2])

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward, returned in float32."""
        dtype = self.dtype
        tokens, pooled, framing = unpack(condition, self._lengths)
        told = {"text_embeds": pooled.to(dtype), "time_ids": self._told(framing, noisy)}
        return network(
            noisy.to(dtype), timestep, encoder_hidden_states=tokens.to(dtype), added_cond_kwargs=told, return_dict=False
        )[0].float()  # fmt: skip

    @property
    def _lengths(self) -> tuple[int, int]:
        return self.pipeline.text_encoder_2.config.projection_dim, FRAMING

    def _told(self, framing: Float[Tensor, "n 6"], noisy: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 6"]:
        """The framing, and where there is none a whole picture of this size."""
        height, width = (side * self.pipeline.vae_scale_factor for side in noisy.shape[-2:])
        whole = framing.new_tensor([height, width, 0, 0, height, width])
        return torch.where(framing[:, :1] > 0, framing, whole)


def _check_micro_conditioning(pipeline: StableDiffusionXLPipeline, path: str) -> None:
    takes = pipeline.unet.add_embedding.linear_1.in_features
    each = pipeline.unet.config["addition_time_embed_dim"]
    gives = each * FRAMING + pipeline.text_encoder_2.config.projection_dim
    if takes != gives:
        raise refused(f"be the base of SDXL, whose unet takes {gives} added numbers, got one of {takes} in {path!r}")
