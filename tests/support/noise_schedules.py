"""Noise schedules of common models, by name."""

from types import SimpleNamespace

import torch

from core.noise.schedule import NoiseSchedule


def scaled_linear_table() -> torch.Tensor:
    """alphas_cumprod of Stable Diffusion 1.5 and SDXL, float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def zero_terminal_table() -> torch.Tensor:
    """The same, rescaled to zero terminal SNR (Lin et al. 2024, algorithm 1)."""
    root = scaled_linear_table().sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def linear_table() -> torch.Tensor:
    """alphas_cumprod of DDPM: almost no signal at the end (alpha = 0.006)."""
    return (1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)).cumprod(0)


SCHEDULES = {
    "stable_diffusion": NoiseSchedule.variance_preserving(scaled_linear_table()),
    "zero_terminal": NoiseSchedule.variance_preserving(zero_terminal_table()),
    "ddpm": NoiseSchedule.variance_preserving(linear_table()),
    "flow": NoiseSchedule.flow_matching(1000),
}


def options(**changes):
    """Scheduled sampling options, the defaults but for the changes."""
    values = {
        "max_step_offset": 0,
        "stride": 1,
        "probability": 0.0,
        "ramp_steps": 0,
        "prob_start": 0.0,
        "prob_end": 0.5,
        "start_step": 0,
        "ramp_shape": "linear",
        "strategy": "uniform",
        "sampler": "unipc",
        "order": 2,
        "guidance_scale": 1.0,
        "mode": "fresh",
    }
    unknown = set(changes) - set(values)
    if unknown:
        raise KeyError(f"no such option: {sorted(unknown)}")
    return SimpleNamespace(**(values | changes))
