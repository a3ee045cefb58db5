"""SimpleTuner's list of data sets (``multidatabackend.json``): the first one with pictures is the subject's here."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config.files import parse_any_json, read_text
from core.config.foreign.mapping import quoted
from core.config.foreign.report import Finding
from core.config.foreign.source import Source
from core.config.foreign.values import number_of, plain, switch_of

PLACE = "data_backend_config"
FILE_NAME = "multidatabackend.json"
OTHER_SETS = "one folder of pictures is trained here, the first of the list"
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
        elif str(entry.get("dataset_type", "image")) != "image":
            rows.append(Finding(f"{PLACE}[{place}]", entry.get("id"), "ignored", words="a cache; kept elsewhere here"))
        else:
            rows.append(Finding(f"{PLACE}[{place}]", entry.get("id"), "differs", words=OTHER_SETS))
    return rows


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
        elif key == "crop" and not switch_of(value):
            rows.append(Finding(name, value, "differs", words="not cropped there; here as resolution says"))
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
    if switch_of(entry.get("crop", False)):
        entry["crop_style"] = "center" if flat["center_crop"] else "random"
    return backends


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
