"""SimpleTuner's list of data sets (``multidatabackend.json``): the first one with pictures is the subject's here."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config.files import parse_any_json, read_text
from core.config.foreign.buckets import sizes_of_area, sizes_of_shapes, written
from core.config.foreign.epochs import MOST_FILES
from core.config.foreign.mapping import as_number, quoted
from core.config.foreign.report import Finding
from core.config.foreign.source import Source
from core.config.foreign.values import number_of, plain, switch_of
from core.data.buckets import parse_buckets
from core.data.captions import CAPTION_SUFFIXES
from core.data.groups import kohya_group
from core.data.metadata import METADATA_NAME

PLACE = "data_backend_config"
FILE_NAME = "multidatabackend.json"
OTHER_SETS = "one folder of pictures is trained here, the first of the list"
MASKS = "in a folder of their own there: put them into masks/ beside the pictures"
SQUARES = "here squares of resolution: give aspect_ratio_buckets"
SHAPES = "the shapes of the pictures there; here the nearest of these sizes, and what sticks out is cut off"
STYLES = {"center": True, "centre": True, "random": False}


def read_backends(source: Source) -> list[dict[str, Any]] | None:
    """The data sets of the list that a config names; None where it is not at hand.

    Raises:
        ConfigError: The list is there and cannot be read.
    """
    path = source.find(source.table.get(PLACE, source.table.get("--" + PLACE)))
    if path is None:
        return None
    found = plain(parse_any_json(read_text(path, (".json",)), path.name), path.name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def subject_of(backends: Sequence[Mapping[str, Any]]) -> int | None:
    """Place of the first data set with pictures of a local folder; None where there is none."""
    for place, entry in enumerate(backends):
        pictures = str(entry.get("dataset_type", "image")) == "image" and entry.get("type", "local") == "local"
        off = switch_of(entry.get("disabled", entry.get("disable", False)))
        prior = switch_of(entry.get("is_regularisation_data", entry.get("is_regularization_data", False)))
        if pictures and not off and not prior and entry.get("instance_data_dir"):
            return place
    return None


def backend_findings(source: Source, backends: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What becomes of each data set, and of each key of the subject's."""
    chosen, rows = subject_of(backends), []
    for place, entry in enumerate(backends):
        if place == chosen:
            rows += _subject_findings(source, entry, f"{PLACE}[{place}]")
        elif chosen is not None and is_mask_of(entry, backends[chosen]):
            new = {"masked_loss": True, "unmasked_weight": 0.0}
            rows.append(Finding(f"{PLACE}[{place}]", entry.get("id"), "differs", new, MASKS))
        elif str(entry.get("dataset_type", "image")) != "image":
            rows.append(Finding(f"{PLACE}[{place}]", entry.get("id"), "ignored", words="a cache; kept elsewhere here"))
        else:
            rows.append(Finding(f"{PLACE}[{place}]", entry.get("id"), "differs", words=OTHER_SETS))
    return rows


def is_mask_of(entry: Mapping[str, Any], subject: Mapping[str, Any]) -> bool:
    """Whether a data set holds the masks of the subject's."""
    paired = subject.get("conditioning_data")
    named = paired if isinstance(paired, list) else [paired]
    is_mask = entry.get("dataset_type") == "conditioning" and entry.get("conditioning_type") == "mask"
    return is_mask and not switch_of(entry.get("disabled", False)) and entry.get("id") in named


def has_masks(backends: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list of data sets holds the masks of its subject."""
    chosen = subject_of(backends)
    return chosen is not None and any(is_mask_of(entry, backends[chosen]) for entry in backends)


def _subject_findings(source: Source, entry: Mapping[str, Any], at: str) -> list[Finding]:
    rows = []
    for key, value in entry.items():
        name = f"{at}.{key}"
        if key == "instance_data_dir":
            rows.append(Finding(name, value, "mapped", {key: _folder(source, value)}))
        elif key == "instance_prompt" and value:
            rows.append(Finding(name, value, "mapped", {key: value}))
        elif key == "caption_strategy":
            rows.append(_captions(name, value))
        elif key == "resolution":
            rows.append(_resolution(name, value, entry))
        elif key == "crop_style" and switch_of(entry.get("crop", False)):
            rows.append(_crop_style(name, value))
        elif (key == "crop" and not switch_of(value)) or (key == "crop_aspect" and switch_of(entry.get("crop"))):
            rows.append(_shapes(name, value, entry, source))
        elif key == "conditioning_data":
            rows.append(Finding(name, value, "ignored", words="names the data set of its masks"))
        elif key == "repeats" and number_of(value) not in (None, 0, 1):
            rows.append(Finding(name, value, "ignored", words="with one folder, more of the same; see max_train_steps"))
        else:
            rows.append(Finding(name, value, "ignored", words="its own data handling"))
    return rows


def _folder(source: Source, value: Any) -> Any:
    found = source.find(value)
    return value if found is None else str(Path(found).absolute())


def _captions(name: str, value: Any) -> Finding:
    word = str(value).strip().lower()
    if word == "textfile":
        return Finding(name, value, "mapped", words="a .txt beside a picture is its caption here too")
    if word in {"instanceprompt", "instance_prompt"}:
        return Finding(name, value, "differs", words="here a .txt beside a picture wins over the instance prompt")
    return Finding(name, value, "differs", words=f"captions by {quoted(value)} are not read here: write .txt files")


def _resolution(name: str, value: Any, entry: Mapping[str, Any]) -> Finding:
    number, kind = number_of(value), str(entry.get("resolution_type", "pixel_area")).strip().lower()
    if number is not None and kind == "area" and 0 < number < 100:
        side = max(64, round(1024 * number**0.5 / 64) * 64)
        return Finding(name, value, "differs", {"resolution": side}, "megapixels there; here a side of that area")
    side = int(number) if number is not None and number == int(number) else value
    return Finding(name, value, "mapped", {"resolution": side})


def _shapes(name: str, value: Any, entry: Mapping[str, Any], source: Source) -> Finding:
    """Buckets for a data set that keeps the shapes of its pictures; none for squares."""
    cropped, aspect = switch_of(entry.get("crop", False)), str(entry.get("crop_aspect", "square")).strip().lower()
    if cropped and aspect == "square":
        return Finding(name, value, "mapped", words="squares, as here")
    side = as_number(_resolution(name, entry.get("resolution", 1024), entry).options, "resolution")
    if str(entry.get("resolution_type", "pixel_area")).strip().lower() == "pixel":
        return Finding(name, value, "differs", words=f"keeps shapes at a shorter side of {side:g} there; {SQUARES}")
    table = {key.lstrip("-"): inner for key, inner in source.table.items()}
    step = int(as_number(table, "aspect_bucket_alignment", 64.0))
    listed = entry.get("crop_aspect_buckets")
    shapes = [number_of(shape) for shape in listed] if isinstance(listed, list) else []
    if cropped and aspect in {"closest", "random"} and shapes:
        sizes = sizes_of_shapes([shape for shape in shapes if shape is not None], side * side, step)
    else:
        sizes = sizes_of_area(side * side, int(side) // 2 // 8 * 8, int(side) * 2, step)
    if not sizes:
        return Finding(name, value, "differs", words=f"keeps shapes there; {SQUARES}")
    return Finding(name, value, "differs", {"aspect_ratio_buckets": written(sizes)}, SHAPES)


def _crop_style(name: str, value: Any) -> Finding:
    style = STYLES.get(str(value).strip().lower())
    if style is None:
        return Finding(name, value, "differs", {"center_crop": True}, "cut in the middle here")
    return Finding(name, value, "mapped", {"center_crop": style})


def backends_of(flat: Mapping[str, Any], kept: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The list of data sets for a config: the imported one with its subject put right, or a new one.

    Args:
        flat: The config by flat name.
        kept: The list as it was imported, empty for none.
    """
    backends = [dict(copy.deepcopy(entry)) for entry in kept]
    chosen = subject_of(backends)
    if chosen is None:
        backends = [_new_subject(), *backends, _text_cache()]
        chosen = 0
    entry = backends[chosen]
    entry["instance_data_dir"] = flat["instance_data_dir"]
    entry["instance_prompt"] = flat["instance_prompt"]
    if str(entry.get("resolution_type", "pixel_area")) == "area":
        entry["resolution_type"] = "pixel_area"
    entry["resolution"] = flat["resolution"]
    if flat["aspect_ratio_buckets"] is not None and _buckets_of(entry) != flat["aspect_ratio_buckets"]:
        sizes = parse_buckets(flat["aspect_ratio_buckets"])
        side = round((sum(width * height for width, height in sizes) / len(sizes)) ** 0.5 / 64) * 64
        shapes = [round(width / height, 4) for width, height in sizes]
        entry |= {"crop": True, "crop_aspect": "closest", "crop_aspect_buckets": shapes}
        entry |= {"resolution": max(side, 64), "resolution_type": "pixel_area"}
    elif flat["aspect_ratio_buckets"] is None and _buckets_of(entry) is not None:
        entry |= {"crop": True, "crop_aspect": "square"}
        entry.pop("crop_aspect_buckets", None)
    if switch_of(entry.get("crop", False)):
        entry["crop_style"] = "center" if flat["center_crop"] else "random"
    return backends


def lost_of(folder: Path, backends: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about what is read of a data folder here and not there.

    Args:
        folder: The subject's pictures; nothing is said of one that is not here.
        backends: The list of data sets, with the subject in it.
    """
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for _, entry in zip(range(MOST_FILES), entries, strict=False)]
    except (OSError, ValueError):
        return []
    chosen, lost = subject_of(backends), []
    if any(path.is_dir() and kohya_group(path) is not None for path in found):
        lost.append("folders named N_prompt have no repeats and no prompt of their own there")
    told = any(path.suffix.lower() in CAPTION_SUFFIXES or path.name == METADATA_NAME for path in found)
    if told and chosen is not None and backends[chosen].get("caption_strategy") != "textfile":
        lost.append("captions beside the pictures are not read there: set caption_strategy = textfile in its data sets")
    return lost


def _buckets_of(entry: Mapping[str, Any]) -> Any:
    """What an entry, read again, would be as ``aspect_ratio_buckets``."""
    source = Source("", {})
    found = [_shapes(key, entry[key], entry, source) for key in ("crop", "crop_aspect") if key in entry]
    return next((row.options["aspect_ratio_buckets"] for row in found if row.options), None)


def _new_subject() -> dict[str, Any]:
    return {
        "id": "subject",
        "type": "local",
        "dataset_type": "image",
        "caption_strategy": "instanceprompt",
        "resolution_type": "pixel",
        "crop": True,
        "crop_aspect": "square",
        "cache_dir_vae": "cache/vae/subject",
        "repeats": 0,
    }


def _text_cache() -> dict[str, Any]:
    return {"id": "text", "type": "local", "dataset_type": "text_embeds", "default": True, "cache_dir": "cache/text"}
