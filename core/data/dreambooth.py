"""A DreamBooth folder: which pictures it holds and the exact prompt that each is trained with. Imports no torch."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data.captions import CAPTION_SUFFIXES, Caption, read_caption
from core.data.pictures import Look, look_at
from core.errors import DataError, Problem, printable, unreadable

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
NAMED = 3
"""How many of the files that are called as pictures are, and are none, an error names."""
INSTANCE_PROMPT = "instance prompt"
"""Source of a prompt that comes from no caption."""


@dataclass(frozen=True)
class Item:
    """One training picture.

    Attributes:
        path: the picture file.
        prompt: the text that will be encoded, whole.
        prompt_source: "instance prompt", or the name of the sidecar file.
        width: pixels, after the camera's rotation is applied.
        height: pixels, after the camera's rotation is applied.
        notes: what happens to picture or caption that people may not expect, in words.
    """

    path: Path
    prompt: str
    prompt_source: str
    width: int
    height: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        items: the pictures, by name.
        skipped: (file name, why) of everything that is no picture.
    """

    items: tuple[Item, ...]
    skipped: tuple[tuple[str, str], ...]


def scan_folder(folder: Path | str, instance_prompt: str, option: str = "instance_data_dir") -> Listing:
    """Reads a flat folder of pictures with optional ``.txt`` or ``.caption`` sidecars.

    Links in it are followed: the user named the folder. Folders, pipes, sockets and devices are skipped, whatever they
    are called.

    Args:
        folder: where the pictures lie; it is only read.
        instance_prompt: the prompt of every picture that has no sidecar.
        option: the option that named the folder, for the error's sentence.

    Raises:
        DataError: the folder is missing or holds no picture, a picture or a caption cannot be read; all such problems
            at once.
    """
    folder = Path(os.path.expanduser(folder))
    paths = _listed(folder, option)
    skipped = {path: why for path in paths if (why := _why_skipped(path)) is not None}
    rest = [path for path in paths if path not in skipped]
    pictures = [path for path in rest if path.suffix.lower() in PICTURE_SUFFIXES]
    captions = _captions(rest)
    skipped |= _beside(rest, {path.stem for path in pictures}, captions)
    items: list[Item] = []
    problems: list[Problem] = []
    for path in pictures:
        try:
            items.append(_read_item(path, instance_prompt, captions.get(path.stem)))
        except DataError as error:
            problems += error.problems
    if not pictures:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
        rule = f"{option} must hold at least one picture ({suffixes}), got none in {str(folder)!r}"
        named = [f"{path.name} is {why}" for path, why in skipped.items() if path.suffix.lower() in PICTURE_SUFFIXES]
        problems.append(Problem(option, "; ".join([rule, *named[:NAMED]])))
    if problems:
        raise DataError(problems)
    why = tuple((printable(path.name), skipped[path]) for path in paths if path in skipped)
    return Listing(tuple(items), why)


def _listed(folder: Path, option: str) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null byte or half a character in the name
        rule = f"{option} must be a folder that exists, got {str(folder)!r}; check the path"
        raise DataError([Problem(option, rule)]) from None
    except OSError as error:
        raise DataError([unreadable(option, folder, error)]) from error


def _why_skipped(path: Path) -> str | None:
    """Why a file is not even looked at; None if it is to be read, or to be complained about."""
    if path.name.startswith("."):
        return "hidden"
    try:
        mode = path.stat().st_mode
    except OSError:  # told when it is read
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        return "a folder"
    if not stat.S_ISREG(mode):
        return "a pipe, a socket or a device"
    return None if path.suffix.lower() in PICTURE_SUFFIXES.union(CAPTION_SUFFIXES) else "no picture"


def _captions(paths: Sequence[Path]) -> dict[str, Path]:
    """The caption file of each stem; the first of CAPTION_SUFFIXES counts, in small or capital letters."""
    found = [path for path in paths if path.suffix.lower() in CAPTION_SUFFIXES]
    found.sort(key=lambda path: CAPTION_SUFFIXES.index(path.suffix.lower()), reverse=True)
    return {path.stem: path for path in found}


def _beside(paths: Sequence[Path], stems: set[str], used: dict[str, Path]) -> dict[Path, str]:
    """What becomes of each caption file."""
    told = {}
    for path in paths:
        if path.suffix.lower() in CAPTION_SUFFIXES:
            first = used[path.stem]
            other = "a caption" if first == path else f"a caption that is not used, since {printable(first.name)} is"
            told[path] = other if path.stem in stems else "a caption without a picture"
    return told


def _read_item(path: Path, instance_prompt: str, caption: Path | None) -> Item:
    problems: list[Problem] = []
    look, said = Look(0, 0, ()), Caption(instance_prompt, ())
    try:
        look = look_at(path)
    except DataError as error:
        problems += error.problems
    try:
        said = said if caption is None else read_caption(caption)
    except DataError as error:
        problems += error.problems
    if problems:
        raise DataError(problems)
    source = INSTANCE_PROMPT if caption is None else printable(caption.name)
    return Item(path, said.text, source, look.width, look.height, look.notes + said.notes)
