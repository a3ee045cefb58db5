"""How single files name their tensors, as far as diffusers reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

NETWORK = "model.diffusion_model."
"""How the names of the network's tensors begin; files that hold the network alone may leave it out."""
VAE = ("first_stage_model.", "vae.")
_POSITIONS = "embeddings.position_embedding.weight"


@dataclass(frozen=True)
class Encoder:
    """Where a file holds a text encoder.

    Attributes:
        root: how the names of its tensors begin, of whatever kind it is.
        marks: tensors by one of which diffusers knows it.
    """

    root: str
    marks: tuple[str, ...]


def _transformers(name: str) -> Encoder:
    return Encoder(f"text_encoders.{name}.", (f"text_encoders.{name}.transformer.text_model.{_POSITIONS}",))


_T5 = Encoder("text_encoders.t5xxl.", ("text_encoders.t5xxl.transformer.shared.weight",))
ENCODERS: Mapping[str, Mapping[str, Encoder]] = {
    "StableDiffusionPipeline": {
        "text_encoder": Encoder(
            "cond_stage_model.",
            (
                f"cond_stage_model.transformer.text_model.{_POSITIONS}",  # SD 1.x
                "cond_stage_model.model.token_embedding.weight",  # SD 2.x
            ),
        )
    },
    "StableDiffusionXLPipeline": {
        "text_encoder": Encoder(
            "conditioner.embedders.0.", (f"conditioner.embedders.0.transformer.text_model.{_POSITIONS}",)
        ),
        "text_encoder_2": Encoder(
            "conditioner.embedders.1.", ("conditioner.embedders.1.model.positional_embedding",)
        ),
    },
    "StableDiffusion3Pipeline": {
        "text_encoder": _transformers("clip_l"), "text_encoder_2": _transformers("clip_g"), "text_encoder_3": _T5
    },
    "FluxPipeline": {"text_encoder": _transformers("clip_l"), "text_encoder_2": _T5},
}  # fmt: skip
"""Text encoders by pipeline and part."""
IDENTITY = "text_encoders.clip_l.transformer.text_projection.weight"
"""In its place diffusers puts the identity, whatever the file says."""
SAYS = {"v_pred": ("prediction_type", "v_prediction"), "ztsnr": ("rescale_betas_zero_snr", True)}
"""Tensors without a use but to say what the network was trained for: setting of the scheduler, and its value."""
