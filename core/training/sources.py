"""The pictures of a training: found, encoded, and listed for the manifest."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.data.buckets import Size, bucket_of, buckets_in_force
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
        buckets: for each size that is trained at the instance pictures, then the class pictures where prior
            preservation is on.
        probed: the instance pictures as squares, which drift probe and scores look at.
        manifest: a row for each picture.
    """

    buckets: list[list[Source]]
    probed: LatentSet
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
    config: RunConfig, family: Family, instance: list[Item], class_folder: Path, report: Report, device: torch.device
) -> Pictures:
    """Encodes the instance pictures, and the class pictures where prior preservation is on.

    Args:
        config: of the run.
        family: the base model, without an adapter.
        instance: from :func:`instance_items`.
        class_folder: the workspace's folder for class pictures.
        report: phases and progress.
        device: that class pictures are drawn on.

    Raises:
        DataError: a picture cannot be read.
    """
    data = config.data
    sets = {"instance": instance}
    if data.with_prior_preservation:
        sets["class"] = class_items(config, family, class_folder, report, device)
    contents = {item.path: file_digest(item.path) for items in sets.values() for item in items}
    caches = _caches(family, class_folder.parent / CACHE_NAME)

    def encoded(name: str, items: list[Item], size: Size) -> LatentSet:
        return _encoded(config, family, (name, size), items, [contents[item.path] for item in items], caches, report)

    known = buckets_in_force(data.aspect_ratio_buckets, data.resolution)
    size_of = {item.path: bucket_of((item.width, item.height), known) for item in instance}
    buckets = []
    for size in dict.fromkeys(size_of.values()):
        own = {"instance": [item for item in instance if size_of[item.path] == size], **_classes(sets)}
        found = [encoded(name, items, size) for name, items in own.items()]
        buckets.append(_sources(own, found, data.prior_loss_weight))
    square = (data.resolution, data.resolution)
    is_square = data.aspect_ratio_buckets is None
    probed = buckets[0][0].pictures if is_square else encoded("probed", instance, square)
    rows = [
        _entry(name, item, contents[item.path], size_of.get(item.path), data.masked_loss)
        for name, items in sets.items()
        for item in items
    ]
    return Pictures(buckets, probed, tuple(rows))


def _classes(sets: dict[str, list[Item]]) -> dict[str, list[Item]]:
    """Every class picture is cut to every bucket: a batch has as many of them as instance pictures, of one size."""
    return {name: items for name, items in sets.items() if name != "instance"}


def _sources(items: dict[str, list[Item]], encoded: list[LatentSet], prior_loss_weight: float) -> list[Source]:
    """The sources of one bucket; which prompts share a group is told within it."""
    groups, names = group_prompts(encoded), [tuple(item.name for item in own) for own in items.values()]
    sources = [Source(encoded[0], "order", "variant", 1.0, groups[0], names[0])]
    if len(encoded) > 1:
        sources.append(Source(encoded[1], "class_order", "class_variant", prior_loss_weight, groups[1], names[1]))
    return sources


def _caches(family: Family, folder: Path) -> tuple[Cache, Cache]:
    """Of latents and of conditions."""
    say = partial(print, flush=True)
    return (
        Cache(folder / "latents", pictures_print(family), say),
        Cache(folder / "conditions", prompts_print(family), say),
    )


def _encoded(
    config: RunConfig, family: Family, named: tuple[str, Size], items: list[Item], contents: list[str],
    caches: tuple[Cache, Cache], report: Report,
) -> LatentSet:  # fmt: skip
    data, (name, size) = config.data, named
    report.phase("caching", f"encoding {name} pictures", len(items), "picture")
    return encode(
        items, family.encode_pictures, family.encode_prompts, family.empty_condition,
        size=size, center_crop=data.center_crop, random_flip=data.random_flip, progress=report.progress,
        unmasked_weight=data.unmasked_weight if data.masked_loss else None,
        contents=contents, keep_pictures=caches[0].keep, keep_prompts=caches[1].keep,
    )  # fmt: skip


def _entry(name: str, item: Item, content: str, size: Size | None, masked: bool) -> Entry:
    mask = file_digest(item.mask) if masked and item.mask is not None else None
    return Entry(
        set=name, file=item.name, sha256=content, width=item.width, height=item.height, prompt=item.prompt,
        prompt_source=item.prompt_source, repeats=item.repeats, mask=mask, bucket=size,
    )  # fmt: skip
