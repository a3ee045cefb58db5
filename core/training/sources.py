"""The pictures of a training: found, encoded, and listed for the manifest."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.data.cache import Cache
from core.data.digest import file_digest
from core.data.dreambooth import Item, scan_subject
from core.data.latents import LatentSet, encode
from core.models.family import Family
from core.models.fingerprint import pictures_print, prompts_print
from core.runs.cached import CACHE_NAME
from core.runs.manifest import Entry
from core.training.batches import Source
from core.training.candidates import group_prompts
from core.training.class_images import class_items
from core.training.report import Report


@dataclass(frozen=True)
class Pictures:
    """What a training is fed with.

    Attributes:
        sources: the instance pictures, then the class pictures where prior preservation is on.
        manifest: a row for each picture.
    """

    sources: list[Source]
    manifest: tuple[Entry, ...]


def instance_items(config: RunConfig) -> list[Item]:
    """The subject's pictures; nothing heavy is loaded for it.

    Raises:
        DataError: they cannot be read.
    """
    data = config.data
    folder = resolve_path(data.instance_data_dir)
    return list(scan_subject(folder, data.instance_prompt, masked=data.masked_loss).items)


def encode_sources(
    config: RunConfig, family: Family, instance: list[Item], class_folder: Path, report: Report
) -> Pictures:
    """Encodes the instance pictures, and the class pictures where prior preservation is on.

    Args:
        config: of the run.
        family: the base model, without an adapter.
        instance: from :func:`instance_items`.
        class_folder: the workspace's folder for class pictures.
        report: phases and progress.

    Raises:
        DataError: a picture cannot be read.
    """
    sets = {"instance": instance}
    if config.data.with_prior_preservation:
        sets["class"] = class_items(config, family, class_folder, report)
    contents = {name: [file_digest(item.path) for item in items] for name, items in sets.items()}
    caches = _caches(family, class_folder.parent / CACHE_NAME)
    encoded = [_encoded(config, family, name, items, contents[name], caches, report) for name, items in sets.items()]
    groups = group_prompts(encoded)
    sources = [Source(encoded[0], "order", "variant", 1.0, groups[0], _names(instance))]
    if config.data.with_prior_preservation:
        weight = config.data.prior_loss_weight
        sources.append(Source(encoded[1], "class_order", "class_variant", weight, groups[1], _names(sets["class"])))
    rows = [
        _entry(name, item, content, config.data.resolution, config.data.masked_loss)
        for name, items in sets.items()
        for item, content in zip(items, contents[name], strict=True)
    ]
    return Pictures(sources, tuple(rows))


def _caches(family: Family, folder: Path) -> tuple[Cache, Cache]:
    """Of latents and of conditions."""
    say = partial(print, flush=True)
    return (
        Cache(folder / "latents", pictures_print(family), say),
        Cache(folder / "conditions", prompts_print(family), say),
    )


def _encoded(
    config: RunConfig, family: Family, name: str, items: list[Item], contents: list[str],
    caches: tuple[Cache, Cache], report: Report,
) -> LatentSet:  # fmt: skip
    report.phase("caching", f"encoding {name} pictures", len(items), "picture")
    return encode(
        items, family.encode_pictures, family.encode_prompts, family.empty_condition,
        resolution=config.data.resolution, center_crop=config.data.center_crop,
        random_flip=config.data.random_flip, progress=report.progress,
        unmasked_weight=config.data.unmasked_weight if config.data.masked_loss else None,
        contents=contents, keep_pictures=caches[0].keep, keep_prompts=caches[1].keep,
    )  # fmt: skip


def _names(items: list[Item]) -> tuple[str, ...]:
    return tuple(item.name for item in items)


def _entry(name: str, item: Item, content: str, resolution: int, masked: bool) -> Entry:
    mask = file_digest(item.mask) if masked and item.mask is not None else None
    return Entry(
        set=name, file=item.name, sha256=content, width=item.width, height=item.height, prompt=item.prompt,
        prompt_source=item.prompt_source, repeats=item.repeats, mask=mask, bucket=(resolution, resolution),
    )  # fmt: skip
