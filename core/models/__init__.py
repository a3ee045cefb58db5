"""Model families: how each kind of pipeline is loaded, conditioned and given an adapter."""

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class FamilyEntry:
    """A registry entry; the class behind ``target`` is imported on use, so that listing costs no torch."""

    name: str
    help: str
    target: str

    def resolve(self) -> type:
        """The family's class, see :class:`core.models.family.Family`."""
        module, attribute = self.target.split(":")
        return getattr(import_module(module), attribute)


FAMILIES: dict[str, FamilyEntry] = {
    "stable_diffusion": FamilyEntry(
        "stable_diffusion",
        "Stable Diffusion 1.x and 2.x, and the embedded base model: one UNet, one CLIP text encoder.",
        "core.models.stable_diffusion:StableDiffusion",
    ),
    "sdxl": FamilyEntry(
        "sdxl",
        "Stable Diffusion XL: one UNet, two CLIP text encoders; it is told how pictures were cut.",
        "core.models.sdxl:SDXL",
    ),
    "sd3": FamilyEntry(
        "sd3",
        "Stable Diffusion 3 and 3.5: a flow matching transformer, two CLIP encoders and a T5 encoder or none.",
        "core.models.sd3:SD3",
    ),
    "flux": FamilyEntry(
        "flux",
        "FLUX.1: a flow matching transformer over packed latents, with or without a guidance embedding.",
        "core.models.flux:Flux",
    ),
}
"""Families that are built, by name."""
