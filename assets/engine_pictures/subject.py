"""The shipped subject as the trainings cache it, for pictures of real latents."""

from core.config.presets import load_preset
from core.data.latents import LatentSet
from core.models.family import Family
from core.samples.load import instance_latents, load_base


def encoded(preset: str) -> tuple[Family, LatentSet]:
    """A preset's base model, and its instance pictures as its training caches them."""
    config = load_preset(preset).config
    family = load_base(config)
    return family, instance_latents(config, family)
