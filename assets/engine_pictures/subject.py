"""The shipped subject as the trainings cache it, for pictures of real latents."""

from core.config.paths import model_path, resolve_path
from core.config.presets import load_preset
from core.data.dreambooth import scan_folder
from core.data.latents import LatentSet, encode
from core.models import FAMILIES
from core.models.family import Family


def encoded(preset: str) -> tuple[Family, LatentSet]:
    """A preset's base model, and its instance pictures as its training caches them."""
    config = load_preset(preset).config
    family = FAMILIES[config.model.family].resolve().load(model_path(config.model.pretrained_model_name_or_path))
    folder = scan_folder(resolve_path(config.data.instance_data_dir), config.data.instance_prompt)
    pictures = encode(
        list(folder.items), family.encode_pictures, family.encode_prompts, resolution=config.data.resolution,
        center_crop=config.data.center_crop, random_flip=config.data.random_flip, progress=lambda done, total: None,
    )  # fmt: skip
    return family, pictures
