"""A random base model with the block layout of Stable Diffusion 1.5, every width an eighth of it, and pictures."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIDE, PICTURES = 192, 8
"""Work of attention grows with the width, that of convolutions with its square: 512² / 8 pixels keep their shares."""
TOKENS, WIDTH = 77, 96
VOCABULARY = 49_408
ABOUT = (
    "UNet 40, 80, 160, 160, 2 layers a block, one head as wide as there; VAE 16, 32, 64, 64, 2 layers a block; "
    f"CLIP of 12 layers, {WIDTH} wide, {TOKENS} tokens; {SIDE} pixels"
)


def save_small_sd15(folder: Path) -> Path:
    """Writes the checkpoint; layers, tokens and the width of a head are the original's, one of eight heads is left."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        unet = UNet2DConditionModel(
            sample_size=SIDE // 8, in_channels=4, out_channels=4, block_out_channels=(40, 80, 160, 160),
            layers_per_block=2, norm_num_groups=4, cross_attention_dim=WIDTH,
            attention_head_dim=1,  # which is the number of heads
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(16, 32, 64, 64), norm_num_groups=4, latent_channels=4, layers_per_block=2,
            sample_size=SIDE, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )  # fmt: skip
        tokenizer = _save_tokenizer(folder / "tokenizer")
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_attention_heads=2, num_hidden_layers=12,
                vocab_size=VOCABULARY, max_position_embeddings=TOKENS, projection_dim=WIDTH,
                bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
    )
    StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_pictures(folder: Path) -> Path:
    """Smooth random pictures, a little larger than what is trained on, as photographs are."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(PICTURES):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE + 64, SIDE + 64), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


def _save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Every byte is a token; the embedding is as long as the original's all the same."""
    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=TOKENS, pad_token="<|endoftext|>")
