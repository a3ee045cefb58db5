"""kohya's sd-scripts: config files of its network scripts and of its GUI, command lines, and data set files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.foreign.epochs import EpochPlan, count_pictures, finding_of
from core.config.foreign.kohya_keys import KOHYA_KEYS, family_of
from core.config.foreign.mapping import apply, as_number, bare, by_name, settled
from core.config.foreign.report import Finding
from core.config.foreign.source import Imported, Reader, Source
from core.config.foreign.values import number_of, switch_of
from core.data.groups import Group, kohya_group

DATASETS, SUBSETS = "datasets", "subsets"
SUBJECT = "instance_prompt"
MOST_FOLDERS = 1000
"""Entries of a folder that are looked at for folders of pictures."""
MARKS = frozenset(
    {
        "network_dim", "network_alpha", "network_module", "train_data_dir", "reg_data_dir", "dataset_config", "unet_lr",
        "max_train_epochs", "optimizer_type", "min_snr_gamma", "network_train_unet_only", DATASETS, "caption_extension",
    }
)  # fmt: skip


def read(source: Source) -> Imported:
    """Takes over a config; its sections are one flat list of keys, as its scripts read them."""
    flat, sets = _flattened(source.table)
    if source.script:
        flat = {"script": source.script, **flat}
    data: list[Finding] = []
    named = flat.get("dataset_config")
    if not sets:
        table = source.read(named)
        sets = {} if table is None else dict(table)
    if sets:
        data += _data_set_findings(source, sets)
    taken = apply(flat, KOHYA_KEYS)
    rows, options = list(taken.findings), dict(taken.options)
    for row in data:
        options |= row.options
    rows += data
    more, items = _class_folders(source, options, _repeats_of(sets))
    rows += more
    for row in more:
        options |= row.options
    rows += _family(flat, options)
    rows += _prior(flat, options)
    rows, options = _with_length(flat, rows, options, items)
    rows, options = _with_prompts(source, flat, rows, options)
    files = {"dataset_config": sets} if sets else {}
    return Imported("kohya", settled(rows), options, taken.kept, taken.problems, None, files)


def _flattened(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys of all sections in one table, and the data sets apart."""
    flat: dict[str, Any] = {}
    sets = {name: table[name] for name in (DATASETS, "general") if name in table and DATASETS in table}
    for name, value in table.items():
        if name in sets:
            continue
        if isinstance(value, Mapping):
            flat |= value
        else:
            flat[name] = value
    return flat, sets


def _data_set_findings(source: Source, table: Mapping[str, Any]) -> list[Finding]:
    """What becomes of a data set file: the first folder with pictures of the subject counts."""
    shared = table.get("general")
    general = dict(shared) if isinstance(shared, Mapping) else {}
    rows: list[Finding] = []
    chosen = False
    for place, entry in enumerate(_tables(table.get(DATASETS))):
        at = f"{DATASETS}[{place}]"
        if place == 0:
            own = {**general, **{key: value for key, value in entry.items() if key != SUBSETS}}
            rows += [Finding(f"{at}.{row.key}", row.value, row.standing, row.options, row.words)
                     for row in apply(own, KOHYA_KEYS).findings if row.given]  # fmt: skip
        for number, subset in enumerate(_tables(entry.get(SUBSETS))):
            here = f"{at}.{SUBSETS}[{number}]"
            prior = switch_of(subset.get("is_reg", False))
            if prior:
                rows += _folder_findings(source, subset, here, "class_data_dir", "class_prompt")
            elif chosen:
                rows.append(Finding(here, subset.get("image_dir"), "differs", words="one folder is trained here"))
            else:
                chosen = True
                rows += _folder_findings(source, subset, here, "instance_data_dir", SUBJECT)
    return rows


def _repeats_of(sets: Mapping[str, Any]) -> int:
    """How often the subject's pictures are repeated by the data set file; 1 without one."""
    subsets = [subset for entry in _tables(sets.get(DATASETS)) for subset in _tables(entry.get(SUBSETS))]
    subject = next((subset for subset in subsets if not switch_of(subset.get("is_reg", False))), {})
    return max(1, int(as_number(subject, "num_repeats", 1.0)))


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _folder_findings(source: Source, subset: Mapping[str, Any], at: str, folder: str, prompt: str) -> list[Finding]:
    names = {"image_dir": folder, "class_tokens": prompt}
    rows = []
    for key, value in subset.items():
        if key in names:
            found = source.find(value) if key == "image_dir" else None
            taken = value if found is None else str(found.absolute())
            options = {names[key]: taken}
            options |= {"with_prior_preservation": True} if names[key] == "class_data_dir" else {}
            rows.append(Finding(f"{at}.{key}", value, "mapped", options))
        elif key == "num_repeats":
            rows.append(Finding(f"{at}.{key}", value, "ignored", words="more of the same, see max_train_steps"))
        else:
            inner = apply({key: value}, KOHYA_KEYS).findings[0]
            rows.append(Finding(f"{at}.{key}", value, inner.standing, inner.options, inner.words))
    return rows


def class_folders(folder: Path) -> list[Group]:
    """The ``N_token class`` folders directly in a folder, by name; empty where there are none."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for _, entry in zip(range(MOST_FOLDERS), entries, strict=False) if entry.is_dir()]
    except (OSError, ValueError):
        return []
    groups = (kohya_group(folder / name) for name in sorted(names))
    return [group for group in groups if group is not None]


def _class_folders(source: Source, options: dict[str, Any], repeats: int) -> tuple[list[Finding], int | None]:
    """Findings about the folders' names, and the pictures of the subject, each times its repeats; None: not counted."""
    rows: list[Finding] = []
    folder = source.find(options.get("instance_data_dir"))
    if folder is None:
        return rows, None
    found = class_folders(folder)
    counted = [(count_pictures(folder), repeats)]
    counted += [(count_pictures(group.path), group.repeats) for group in found]
    new = {"instance_data_dir": str(folder.absolute())}
    if found:
        new |= {} if SUBJECT in options else {SUBJECT: found[0].prompt}
        names = ", ".join(group.path.name for group in found)
        rows.append(Finding("train_data_dir", names, "mapped", new, "the names hold repeats and prompts here too"))
    options |= new
    prior = source.find(options.get("class_data_dir"))
    classes = [] if prior is None else class_folders(prior)
    if classes and "class_prompt" not in options:
        told = {"class_prompt": classes[0].prompt}
        rows.append(Finding("reg_data_dir", classes[0].path.name, "mapped", told, "the folder's name"))
    return rows, sum((number or 0) * times for number, times in counted)


def _family(flat: Mapping[str, Any], options: dict[str, Any]) -> list[Finding]:
    values = {name: value for name, (_, value) in by_name(flat, KOHYA_KEYS)[0].items()}
    family, said = family_of(values)
    if "family" in options:
        return []
    options["family"] = family
    words = "" if said else "the file does not say which script it is for; set family where this is wrong"
    return [Finding("family", family, "mapped" if said else "differs", {"family": family}, words, given=False)]


def _prior(flat: Mapping[str, Any], options: dict[str, Any]) -> list[Finding]:
    if options.get("class_data_dir") is None or "with_prior_preservation" in options:
        return []
    options["with_prior_preservation"] = True
    words = "class pictures are given"
    return [Finding("reg_data_dir", flat.get("reg_data_dir"), "mapped", {"with_prior_preservation": True}, words)]


def _with_length(
    flat: Mapping[str, Any], rows: list[Finding], options: dict[str, Any], items: int | None
) -> tuple[list[Finding], dict[str, Any]]:
    """The same with the length of a training that is told in epochs."""
    found, _ = by_name(flat, KOHYA_KEYS)
    spelt, value = found.get("max_train_epochs", ("max_train_epochs", None))
    epochs = number_of(value)
    if epochs is None or epochs <= 0:
        return rows, options
    plan = EpochPlan(
        key=spelt,
        epochs=epochs,
        batch=max(1, int(as_number(options, "train_batch_size", 1))),
        accumulation=max(1, int(as_number(options, "gradient_accumulation_steps", 1))),
        items=items,
    )
    length = finding_of(plan)
    return [row for row in rows if bare(row.key) != bare(spelt)] + [length], {**options, **length.options}


def _with_prompts(
    source: Source, flat: Mapping[str, Any], rows: list[Finding], options: dict[str, Any]
) -> tuple[list[Finding], dict[str, Any]]:
    """Prompts that stand in the file itself; those of another file are not read."""
    value = flat.get("sample_prompts")
    if not isinstance(value, list) and not (isinstance(value, str) and "\n" in value.strip()):
        return rows, options
    lines = value if isinstance(value, list) else value.splitlines()
    texts = [str(line).split(" --")[0].strip() for line in lines]
    prompts = tuple(text for text in texts if text and not text.startswith("#"))
    if not prompts:
        return rows, options
    new = {"validation_prompts": prompts}
    rows = [row for row in rows if row.key != "sample_prompts"]
    return [*rows, Finding("sample_prompts", value, "mapped", new, "flags behind a prompt are left out")], options | new


READER = Reader("kohya", "kohya's sd-scripts", KOHYA_KEYS, MARKS, read)
