"""Up to which timestep a state tells the shipped subject's pictures apart, on both embedded base models."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from assets.engine_pictures.panels import key, panels, say
from assets.engine_pictures.subject import encoded
from core.data.latents import LatentSet
from core.models.family import Family
from core.noise.prediction import add_noise
from core.plots.arms import arm_styles
from core.plots.figure import describe
from core.plots.palette import SUBDUED
from core.rollout.identifiability import level, smallest_distance, timestep_at
from core.training.candidates import group_prompts, posterior_over

PRESETS = {"embedded": "demo", "embedded-flow": "demo-flow"}
POINTS, NOISES = 41, 16


def draw() -> Figure:
    """Posterior entropy and the nearest picture's share against the timestep, with the level."""
    figure, axes = panels(
        [f"{name} ({preset})" for name, preset in PRESETS.items()], [("timestep (0 = clean)", "0 to 1")] * len(PRESETS)
    )
    found = [_one(panel, preset) for panel, preset in zip(axes, PRESETS.values(), strict=True)]
    text = "; ".join(
        f"{name}: D_min {distance:.1f}, level sigma/alpha = {ratio:.2f} at timestep {timestep:.0f}, where the nearest "
        f"picture's mean share is {100 * share:.1f} %"
        for name, (distance, ratio, timestep, share) in zip(PRESETS, found, strict=True)
    )
    return describe(figure, f"{text}.")


def _one(axes: Axes, preset: str) -> tuple[float, float, float, float]:
    """Draws a base model's panel; D_min, level, its timestep, the nearest picture's share there."""
    family, pictures = encoded(preset)
    distance = smallest_distance([pictures.latents])
    assert distance is not None
    ratio = level(distance)
    timestep = timestep_at(ratio, family.schedule)
    times = torch.linspace(0, family.schedule.last, POINTS)
    rows = torch.tensor([_posterior(family, pictures, float(time)) for time in times])
    curves = ["share of the nearest", f"entropy / ln {len(pictures)}"]
    for column, (label, style) in enumerate(arm_styles(curves).items()):
        axes.plot(times, rows[:, column], label=label, linewidth=1.6, **style.line)
    axes.axvline(timestep, color=SUBDUED, linewidth=1.2, linestyle=(0, (2, 2)))
    say(axes, timestep - 20, 0.5, f"sigma/alpha = D_min/4\nat timestep {timestep:.0f}", SUBDUED)
    axes.set_xlim(1000, 0)
    axes.set_ylim(0, 1.05)
    key(axes)
    return distance, ratio, timestep, _posterior(family, pictures, timestep)[0]


def _posterior(family: Family, pictures: LatentSet, timestep: float) -> tuple[float, float]:
    """Means over all pictures, each with NOISES noises: the nearest's share, and the entropy over its maximum."""
    clean = pictures.latents.repeat(NOISES, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    full = torch.full((len(clean),), timestep)
    where = {"alpha": family.schedule.alpha(full), "sigma": family.schedule.sigma(full)}
    group = group_prompts([pictures])[0][pictures.prompt].repeat(NOISES)
    posterior = posterior_over([pictures], [1.0], 0.0, torch.device("cpu"))
    found = posterior(add_noise(clean, noise, **where), **where, group=group)
    return float(found.nearest.mean()), float(found.entropy.mean()) / math.log(len(pictures.latents))
