"""A random base model of the real classes, small enough to train and sample on within a second."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

KINDS = ("epsilon", "v_prediction", "sample", "flow_matching")
LENGTH = 24
WIDTH = 16


def noise_schedulers(kind: str, **changes):
    """The diffusers scheduler of a base model of that kind; v_prediction has zero terminal SNR."""
    if kind == "flow_matching":
        return UniPCMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=2.0, steps_offset=1, **changes
        )
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if kind == "v_prediction" else {}
    values = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    return DDIMScheduler(**{**values, "clip_sample": False, "prediction_type": kind, **zero, **changes})


def save_checkpoint(folder: Path, kind: str = "v_prediction", scheduler=None) -> Path:
    """Writes a Stable Diffusion folder; equal weights for every kind and every call."""
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        unet = UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
            norm_num_groups=4, cross_attention_dim=WIDTH, attention_head_dim=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, layers_per_block=1, sample_size=16,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=1.5,
        )  # fmt: skip
        tokenizer = save_tokenizer(folder / "tokenizer")
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=WIDTH, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
                vocab_size=len(tokenizer), max_position_embeddings=LENGTH, projection_dim=WIDTH,
                bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet,
        scheduler=noise_schedulers(kind) if scheduler is None else scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Every byte is a token: any text encodes."""
    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=LENGTH, pad_token="<|endoftext|>")
