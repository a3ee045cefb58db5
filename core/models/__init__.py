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
}
"""Families that are built, by name."""
