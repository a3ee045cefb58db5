"""``manifest.json``: which pictures a run is trained on, by content. Written once, before its first step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import RunError
from core.runs.files import parse_object, read_bounded, to_json, write_whole
from core.runs.folder import RunFolder

LARGEST = 1 << 27
"""Bytes that are read of it; the largest sets have some ten thousand pictures of a few hundred bytes each."""
NAMED = 5
"""Differences that a sentence names."""


@dataclass(frozen=True)
class Entry:
    """One picture of a run.

    Attributes:
        set: "instance" or "class".
        file: name of the file, from its data folder on.
        sha256: of the file.
        width: pixels.
        height: pixels.
        prompt: it is trained with.
        prompt_source: where that prompt comes from.
        repeats: how often it comes in an epoch.
        mask: SHA-256 of the file of its mask; None where none is used.
        bucket: width and height that it is trained at, in pixels; None for class pictures, which take that of each
            batch's instance pictures.
    """

    set: str
    file: str
    sha256: str
    width: int
    height: int
    prompt: str
    prompt_source: str
    repeats: int
    mask: str | None
    bucket: tuple[int, int] | None


def write_manifest(folder: RunFolder, entries: Sequence[Entry]) -> None:
    """Freezes what a run is trained on.

    Raises:
        RunError: the disk does not take it.
    """
    write_whole(folder.manifest_path, to_json({"pictures": _rows(entries)}, indent=1), durable=True)


def read_manifest(folder: RunFolder) -> list[dict[str, Any]] | None:
    """The fields of each ``Entry`` that a run began with; None where that cannot be told."""
    data = read_bounded(folder.manifest_path, LARGEST)
    table = None if data is None else parse_object(data)
    rows = None if table is None else table.get("pictures")
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def check_manifest(folder: RunFolder, entries: Sequence[Entry]) -> None:
    """Passes pictures that are exactly those that the run began with: a resumed run is bit for bit an undisturbed one.

    Raises:
        RunError: they are others, or what the run began with cannot be told.
    """
    rows = read_manifest(folder)
    if rows is None:
        raise RunError(f"{folder.manifest_path} must list the pictures that the run began with; train a new run")
    found = _differences(rows, _rows(entries))
    if found:
        rule = "the pictures of a resumed run must be those that it began with"
        raise RunError(f"{rule}, got {_named(found)}; put them back as they were, or train a new run")


def check_measured(folder: RunFolder, pictures: Mapping[str, tuple[str, str]]) -> None:
    """Passes instance pictures that are those of a run; one that did not write down its pictures passes with any.

    Args:
        folder: of a run that is measured.
        pictures: SHA-256 of the file, and prompt, by the file's name.

    Raises:
        RunError: they are others.
    """
    rows = [row for row in read_manifest(folder) or () if row.get("set") == "instance"]
    then = [{name: row.get(name) for name in ("set", "file", "sha256", "prompt")} for row in rows]
    now = [{"set": "instance", "file": name, "sha256": sha, "prompt": text} for name, (sha, text) in pictures.items()]
    found = _differences(then, now) if rows else []
    if found:
        rule = f"the pictures of {folder.name} must be those that it was trained on to be measured"
        raise RunError(f"{rule}, got {_named(found)}; put them back as they were")


def _named(differences: list[str]) -> str:
    more = f" and {len(differences) - NAMED} more" if len(differences) > NAMED else ""
    return ", ".join(differences[:NAMED]) + more


def _rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [{**asdict(entry), "bucket": None if entry.bucket is None else list(entry.bucket)} for entry in entries]


def _differences(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    """In words, those of the first list in its order, then what is new."""
    then, today = ({(row.get("set"), row.get("file")): row for row in rows} for rows in (before, now))
    found = []
    for name, row in then.items():
        if name not in today:
            found.append(f"{name[1]} missing")
        elif row != today[name]:
            found.append(f"{name[1]} with another {_what(row, today[name])}")
    return found + [f"{name[1]} new" for name in today if name not in then]


def _what(before: dict[str, Any], now: dict[str, Any]) -> str:
    changed = [name for name in now if before.get(name) != now[name]]
    return "content" if "sha256" in changed else (changed[0].replace("_", " ") if changed else "description")
