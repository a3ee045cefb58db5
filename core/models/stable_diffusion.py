"""Stable Diffusion 1.x and 2.x, and the embedded base model."""

import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from torch import Tensor, nn

from core.models.loading import check_autoencoder, refused
from core.models.lora_targets import CLIP_ENCODERS, UNET
from core.models.pipeline_family import PipelineFamily
from core.models.single_file import load_model
from core.models.unet import KINDS, check_unet

WEIGHTED = ("unet", "vae", "text_encoder")
PARTS = (*WEIGHTED, "tokenizer", "scheduler")


class StableDiffusion(PipelineFamily):
    """One UNet, one CLIP text encoder, one autoencoder. Implements :class:`core.models.family.Family`."""

    part = "unet"
    encoders = learning = CLIP_ENCODERS["stable_diffusion"]
    targets = UNET

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, variant: str | None = None, *,
        single_file_config: str | None = None, precision: torch.dtype = torch.float32,
    ) -> "StableDiffusion":  # fmt: skip
        """Reads a local diffusers folder, a hub id where the hub can be reached, or a single file.

        Args:
            path: of the folder or file, or the hub id.
            revision: of a hub model.
            variant: of the weight files.
            single_file_config: for a single file, the diffusers folder that lends what a file does not hold.

        Raises:
            DataError: nothing at ``path`` loads as a Stable Diffusion pipeline.
        """
        pipeline = load_model(
            StableDiffusionPipeline, path, revision, variant, single_file_config, network=cls.part, precision=precision,
            encoders=cls.encoders, parts=PARTS,
            weighted=WEIGHTED, advice="use 'embedded' for the base model that ships with the workbench",
            safety_checker=None, requires_safety_checker=False,
        )  # fmt: skip
        check_unet(pipeline, path)
        check_autoencoder(pipeline, path, pipeline.unet.config["in_channels"])
        try:
            return cls(pipeline, KINDS[pipeline.scheduler.config["prediction_type"]])
        except ValueError as error:  # a noise schedule that is none
            raise refused(f"have a scheduler whose noise grows from step to step, got {path!r} ({error})") from error

    def _encoded(self, texts: list[str]) -> Float[Tensor, "n tokens width"]:
        """The text encoder's last hidden states, as the pipeline itself encodes them."""
        embeddings, _ = self.pipeline.encode_prompt(
            texts, self.encodes_on, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return embeddings.float()

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward, returned in float32."""
        dtype = self.dtype
        return network(
            noisy.to(dtype), timestep, encoder_hidden_states=condition.to(dtype), return_dict=False
        )[0].float()  # fmt: skip
