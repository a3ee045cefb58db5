"""Trains the tiny autoencoder: 64x64x3 pictures <-> 16x16x4 latents."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from assets.build.art import background_colours, centred, compose

STEPS = 12_000
BATCH = 16
PEAK_LEARNING_RATE = 2e-3
LATENT_NOISE = 0.05


def new_autoencoder() -> AutoencoderTiny:
    """0.46 M parameters, factor 4, four latent channels."""
    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32), decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(1, 2, 4), num_decoder_blocks=(4, 3, 1), latent_channels=4, scaling_factor=1.0,
        force_upcast=False,
    )  # fmt: skip


def _batch(art: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with random scale, place, side and background, and latent noise: a function of the step alone."""
    random = torch.Generator().manual_seed(1_000_003 + step)
    rgba = art[torch.randint(0, len(art), (BATCH,), generator=random)]
    scale = torch.empty(BATCH).uniform_(1.08, 1.3, generator=random)
    flip = torch.where(torch.rand(BATCH, generator=random) < 0.5, -1.0, 1.0)
    placement = torch.zeros(BATCH, 2, 3)
    placement[:, 0, 0], placement[:, 1, 1] = scale * flip, scale
    placement[:, :, 2] = torch.empty(BATCH, 2).uniform_(-1, 1, generator=random) * (scale[:, None] - 1) * 0.7
    colours = background_colours()[torch.randint(0, 8, (BATCH,), generator=random)]
    white = torch.rand(BATCH, 1, generator=random) < 0.3
    noise = torch.randn(BATCH, 4, 16, 16, generator=random)
    return compose(rgba, torch.where(white, torch.ones(1, 3), colours), placement), noise


def _gradients(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return picture[..., 1:, :] - picture[..., :-1, :], picture[..., 1:] - picture[..., :-1]


def _loss(decoded: torch.Tensor, picture: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    error = decoded - picture
    edges = sum((a - b).abs().mean() for a, b in zip(_gradients(decoded), _gradients(picture), strict=True))
    return 0.7 * error.abs().mean() + error.pow(2).mean() + 0.5 * edges + 2e-3 * latent.pow(2).mean()


def train_autoencoder(art: np.ndarray, folder: Path, steps: int = STEPS, log=print) -> AutoencoderTiny:
    """Trains from scratch on premultiplied art (n, 64, 64, 4), sets the scaling factor to 1/std, saves in float16."""
    torch.manual_seed(0)
    pictures = torch.from_numpy(art)
    model = new_autoencoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    started, errors = time.time(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            decay = 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02
            group["lr"] = PEAK_LEARNING_RATE * min(1.0, (step + 1) / 200) * decay
        picture, noise = _batch(pictures, step)
        picture = picture.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latent = model.encode(picture).latents
            decoded = model.decode(latent + LATENT_NOISE * noise).sample
        loss = _loss(decoded.float(), picture, latent.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        errors.append((decoded.detach().float() - picture).pow(2).mean().item() / 4)
        if (step + 1) % 500 == 0:
            decibels = -10 * math.log10(np.mean(errors[-500:]))
            log(f"autoencoder {step + 1}/{steps}: {decibels:.2f} dB, {time.time() - started:.0f} s")
    model = model.to(memory_format=torch.contiguous_format).eval()
    _set_scaling_factor(model, pictures)
    model.to(torch.float16).save_pretrained(folder)
    return AutoencoderTiny.from_pretrained(folder)


@torch.inference_mode()
def _set_scaling_factor(model: AutoencoderTiny, art: torch.Tensor) -> None:
    picks = torch.arange(0, len(art), max(1, len(art) // 256))
    colours = background_colours()[torch.arange(len(picks)) % 8]
    latents = model.encode(compose(art[picks], colours, centred(len(picks)))).latents
    model.register_to_config(scaling_factor=round(float(1 / latents.std()), 4))
