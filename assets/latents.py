"""The instance pictures of a configuration as its training caches them."""

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.data.dreambooth import scan_folder
from core.data.latents import LatentSet, encode
from core.models.family import Family


def instance_latents(config: RunConfig, family: Family) -> LatentSet:
    """Encoded by the base model.

    Raises:
        DataError: the pictures cannot be read.
    """
    data = config.data
    items = scan_folder(resolve_path(data.instance_data_dir), data.instance_prompt).items
    return encode(
        items, family.encode_pictures, family.encode_prompts, resolution=data.resolution, center_crop=data.center_crop,
        random_flip=data.random_flip, progress=lambda done, total: None,
    )  # fmt: skip
