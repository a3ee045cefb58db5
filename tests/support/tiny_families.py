"""Random base models of the other real pipelines, each small enough to train and sample on within a second."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tiny_checkpoint import LENGTH, WIDTH, noise_schedulers, save_tokenizer
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from core.models import FAMILIES

PROJECTION = 20
"""Width of a pooled prompt; no multiple of any token's."""
T5_WIDTH = 40
NARROW, WIDE = 8, 24
"""Widths of the two CLIP encoders: single files are told apart by them."""


def save_sdxl(folder: Path, kind: str = "epsilon", **changes) -> Path:
    """Writes an SDXL folder; equal weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        tokenizer = save_tokenizer(folder / "tokenizer")
        unet = UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
            norm_num_groups=4, cross_attention_dim=2 * WIDTH, attention_head_dim=2, use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + PROJECTION,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        pipeline = StableDiffusionXLPipeline(
            vae=autoencoder(), unet=unet, text_encoder=CLIPTextModel(clip(tokenizer, NARROW)), tokenizer=tokenizer,
            text_encoder_2=CLIPTextModelWithProjection(clip(tokenizer, WIDE)), tokenizer_2=tokenizer,
            scheduler=noise_schedulers(kind), add_watermarker=False, **changes,
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def save_sd3(folder: Path, *, with_t5: bool = True, **scheduling) -> Path:
    """Writes a Stable Diffusion 3.5 folder, with or without its third encoder; equal weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        tokenizer = save_tokenizer(folder / "tokenizer")
        transformer = SD3Transformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2,
            attention_head_dim=8, joint_attention_dim=T5_WIDTH, caption_projection_dim=16,
            pooled_projection_dim=NARROW + PROJECTION, pos_embed_max_size=12, dual_attention_layers=(0,),
            qk_norm="rms_norm",
        )  # fmt: skip
        first = CLIPTextModelWithProjection(clip(tokenizer, NARROW, projection_dim=NARROW))
        first.text_projection.weight.data = torch.eye(NARROW)  # as diffusers puts it in, whatever a single file says
        pipeline = StableDiffusion3Pipeline(
            vae=autoencoder(shift_factor=0.25), transformer=transformer, text_encoder=first, tokenizer=tokenizer,
            text_encoder_2=CLIPTextModelWithProjection(clip(tokenizer, WIDE)), tokenizer_2=tokenizer,
            text_encoder_3=t5() if with_t5 else None, tokenizer_3=t5_tokenizer() if with_t5 else None,
            scheduler=FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduling}),
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def save_flux(folder: Path, *, guided: bool = True) -> Path:
    """Writes a FLUX.1 folder, with a guidance embedding as dev or without as schnell; equal weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        tokenizer = save_tokenizer(folder / "tokenizer")
        transformer = FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=T5_WIDTH, pooled_projection_dim=WIDTH,
            guidance_embeds=guided, axes_dims_rope=(4, 4, 8),
        )  # fmt: skip
        shift = {"use_dynamic_shifting": True, "shift": 3.0, "base_shift": 0.5, "max_shift": 1.15}
        pipeline = FluxPipeline(
            vae=autoencoder(shift_factor=0.25), transformer=transformer,
            text_encoder=CLIPTextModel(clip(tokenizer)), tokenizer=tokenizer, text_encoder_2=t5(),
            tokenizer_2=t5_tokenizer(),
            scheduler=FlowMatchEulerDiscreteScheduler(**(shift if guided else {"shift": 1.0})),
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


CLASSES = {name: entry.resolve() for name, entry in FAMILIES.items() if name != "stable_diffusion"}
"""The families beside the one of ``tiny_checkpoint``."""


@pytest.fixture(scope="session")
def family_bases(tmp_path_factory) -> dict[str, Path]:
    """A base model of each of them."""
    folder = tmp_path_factory.mktemp("families")
    savers = {"sdxl": save_sdxl, "sd3": save_sd3, "flux": save_flux}
    return {name: save(folder / name) for name, save in savers.items()}


def autoencoder(**changes) -> AutoencoderKL:
    """Half the side of a picture, four channels."""
    return AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, layers_per_block=1, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=1.5,
        **changes,
    )  # fmt: skip


def clip(tokenizer, width: int = WIDTH, projection_dim: int = PROJECTION) -> CLIPTextConfig:
    """Of every CLIP encoder here."""
    return CLIPTextConfig(
        hidden_size=width, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, vocab_size=len(tokenizer),
        max_position_embeddings=LENGTH, projection_dim=projection_dim, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def t5() -> T5EncoderModel:
    """A T5 encoder for the letters of ``t5_tokenizer``."""
    return T5EncoderModel(
        T5Config(vocab_size=128, d_model=T5_WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0)
    )


def t5_tokenizer() -> T5TokenizerFast:
    """Every letter is a token."""
    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters += [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,."]
    return T5TokenizerFast(vocab=letters, extra_ids=0, model_max_length=LENGTH)
