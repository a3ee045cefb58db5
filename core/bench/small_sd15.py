"""Random base models with the block layout of Stable Diffusion 1.5, every width a part of it, and pictures."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

PICTURES = 8
TOKENS = 77
VOCABULARY = 49_408
UNET, VAE = (320, 640, 1280, 1280), (128, 256, 512, 512)
TEXT, GROUPS, HEADS, TEXT_HEADS = 768, 32, 8, 12


@dataclass(frozen=True)
class Size:
    """A base model and the pictures that it is trained on.

    Work of attention grows with the width and the square of the number of pixels, that of convolutions with the square
    of the width and with the pixels: at a width of 1/d, pixels of 1/d keep the shares of the original at 512 pixels.

    Attributes:
        divisor: of all widths; channels in a group and in a head of the UNet are those of the original.
        side: of the pictures, in pixels.
    """

    divisor: int
    side: int

    def __str__(self) -> str:
        unet, vae = (", ".join(str(width // self.divisor) for width in widths) for widths in (UNET, VAE))
        text = f"CLIP of 12 layers, {TEXT // self.divisor} wide, {TOKENS} tokens"
        return f"widths / {self.divisor}, {self.side} pixels (UNet {unet}; VAE {vae}; 2 layers a block; {text})"


ORIGINAL = Size(1, 512)
SIZES = (Size(4, 256), Size(8, 192), Size(8, 256))
"""The first has the original's shares; the second nearly. The third has twice the pixels that its width allows for, so
more attention, which the autoencoder's encoder has little of."""


def make_networks(size: Size) -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    """UNet, autoencoder and text encoder, with random weights, on torch's default device."""
    unet = UNet2DConditionModel(
        sample_size=size.side // 8, in_channels=4, out_channels=4,
        block_out_channels=tuple(width // size.divisor for width in UNET), layers_per_block=2,
        norm_num_groups=GROUPS // size.divisor, cross_attention_dim=TEXT // size.divisor,
        attention_head_dim=HEADS // size.divisor,  # which is the number of heads
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=tuple(width // size.divisor for width in VAE), norm_num_groups=GROUPS // size.divisor,
        latent_channels=4, layers_per_block=2, sample_size=size.side, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=TEXT // size.divisor, intermediate_size=4 * TEXT // size.divisor,
            num_attention_heads=TEXT_HEADS // size.divisor, num_hidden_layers=12, vocab_size=VOCABULARY,
            max_position_embeddings=TOKENS,
        )
    )  # fmt: skip
    return unet, vae, text_encoder


def save_small_sd15(folder: Path, size: Size) -> Path:
    """Writes a checkpoint of that size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        unet, vae, text_encoder = make_networks(size)
    tokenizer = _save_tokenizer(folder / "tokenizer")
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(text_encoder.config, name, getattr(tokenizer, name))
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
    )
    StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_pictures(folder: Path, side: int) -> Path:
    """Smooth random pictures, a little larger than the ``side`` that is trained on, as photographs are."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(PICTURES):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side + 64, side + 64), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


def _save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Every byte is a token; the embedding is as long as the original's all the same."""
    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=TOKENS, pad_token="<|endoftext|>")
