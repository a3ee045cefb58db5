"""Pictures for the Data tab: thumbnails, advice, uploads copied into the workspace. A user's folder is only read."""

from __future__ import annotations

import base64
import io
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from core.config.presets import slug
from core.data.buckets import Size, bucket_of
from core.data.captions import CAPTION_SUFFIXES, read_caption
from core.data.dreambooth import INSTANCE_PROMPT, PICTURE_SUFFIXES, Listing, scan_subject
from core.data.groups import FOLDER_NAME
from core.data.pictures import look_at, read_picture
from core.data.prompts import USUALLY_READ, cut_note
from core.errors import DataError, Problem, RunError, printable
from core.runs.files import cannot_write, make_folder

THUMBNAIL = 96
"""Pixels, longer side."""
SHOWN = 60
"""Pictures of a folder that get a thumbnail; the others are listed in words."""
FEW = 4
NAMED = 5
"""Pictures that one line of advice names."""


@lru_cache(maxsize=512)
def thumbnail(path: Path, changed: float) -> str:
    """A picture as a small ``data:`` address, so that no folder of the user's is ever served.

    Args:
        path: The picture.
        changed: Its modification time, so that a changed file is read again.

    Raises:
        DataError: If it cannot be decoded.
    """
    small = read_picture(path)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def warnings_of(
    listing: Listing, resolution: int, most: int = USUALLY_READ, sizes: Sequence[Size] = ()
) -> dict[Path, list[str]]:
    """What is unfortunate, though no error, about each picture.

    Args:
        listing: The pictures.
        resolution: Side of the square that is trained on, in pixels.
        most: Tokens of a prompt that the text encoder reads.
        sizes: The buckets; the square of the resolution where none are given.
    """
    found: dict[Path, list[str]] = {}
    for item in listing.items:
        notes = []
        width, height = bucket_of((item.width, item.height), sizes or [(resolution, resolution)])
        if item.width < width or item.height < height:
            size = f"resolution {resolution}" if width == height == resolution else f"bucket {width} × {height}"
            notes.append(f"smaller than the {size}: will be enlarged")
        wide, high = item.width * height, item.height * width
        if max(wide, high) > 1.5 * min(wide, high):
            shape = "square" if width == height else "the shape of its bucket"
            notes.append(f"far from {shape}: much is cut off")
        cut = cut_note(item.prompt, most)
        notes += [*item.notes, *([] if cut is None else [cut])]
        found[item.path] = notes
    return found


def count_text(count: int) -> str:
    """So many pictures, in words."""
    return "1 picture" if count == 1 else f"{count} pictures"


def advice(listing: Listing, most: int = USUALLY_READ) -> list[str]:
    """What to know about the folder as a whole.

    Args:
        listing: The pictures.
        most: Tokens of a prompt that the text encoder reads.
    """
    count = len(listing.items)
    lines = []
    if count < FEW:
        lines.append(f"{count_text(count)}: {FEW} or more learn a subject better than single views of it.")
    sources = Counter(item.prompt_source for item in listing.items)
    captions = count - sources[INSTANCE_PROMPT] - sources[FOLDER_NAME]
    if captions > 0:
        lines.append(f"{captions} of {count} pictures have a caption, which replaces the instance prompt for them.")
    if sources[FOLDER_NAME] > 0:
        lines.append(f"{sources[FOLDER_NAME]} of {count} pictures take their prompt from their folder's name.")
    places = sum(item.repeats for item in listing.items)
    if places > count:
        lines.append(f"With repeats an epoch has {places} places for {count_text(count)}.")
    cut = [printable(item.path.name) for item in listing.items if cut_note(item.prompt, most) is not None]
    if cut:
        named = ", ".join(cut[:NAMED]) + (f" and {len(cut) - NAMED} more" if len(cut) > NAMED else "")
        lines.append(f"The text encoder reads the first {most} tokens of a prompt: shorten the prompts of {named}.")
    return lines


def keep_upload(datasets: Path, name: str, files: Sequence[Path]) -> Path:
    """Copies uploaded pictures and captions into the workspace.

    Args:
        datasets: Folder of all data sets.
        name: What the user calls it; made a slug, -2, -3 … where that is taken.
        files: The uploaded files.

    Returns:
        The new folder.

    Raises:
        DataError: If there is no picture among them, or a picture or a caption cannot be read; nothing is kept then.
        RunError: If the folder cannot be written; nothing is kept then.
    """
    readers = {**dict.fromkeys(PICTURE_SUFFIXES, look_at), **dict.fromkeys(CAPTION_SUFFIXES, read_caption)}
    wanted = [path for path in files if path.suffix.lower() in readers]
    if not any(path.suffix.lower() in PICTURE_SUFFIXES for path in wanted):
        rule = "the upload must hold at least one picture (png, jpg, jpeg, webp, bmp), got none"
        raise DataError([Problem("instance_data_dir", rule)])
    problems = [problem for path in wanted for problem in _problems(readers[path.suffix.lower()], path)]
    if problems:
        raise DataError(problems)
    if not Path(os.path.realpath(datasets)).is_relative_to(os.path.realpath(datasets.parent)):
        raise RunError(f"{datasets} must lie in the workspace, got a link that leads out of it; remove the link")
    folder = _free_folder(datasets, slug(name) or "pictures")
    try:
        for source, target in _safe_names(wanted):
            shutil.copyfile(source, folder / target)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise cannot_write(folder, error) from error
    return folder


def _problems(read: Callable[[Path], object], path: Path) -> tuple[Problem, ...]:
    try:
        read(path)
    except DataError as error:
        return error.problems
    return ()


def _safe_names(files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each file with a name that is safe in a path, all different, a picture's caption still named as its picture.

    Pictures of one name, from two folders, get two names; the first caption of that name is the first picture's.
    """
    stems: dict[tuple[str, int], str] = {}
    seen: Counter[str] = Counter()
    named = []
    for path in files:
        turn = (path.stem, seen[path.name.lower()])
        seen[path.name.lower()] += 1
        if turn not in stems:
            stems[turn] = _free_name(slug(path.stem) or "picture", set(stems.values()))
        named.append((path, stems[turn] + path.suffix.lower()))
    return named


def _free_name(stem: str, taken: Container[str]) -> str:
    return next(name for name in _numbered(stem) if name not in taken)


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


def _free_folder(parent: Path, stem: str) -> Path:
    make_folder(parent)
    names = _numbered(stem)
    while True:
        folder = parent / next(names)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(folder, error) from error
        return folder


def free_file(folder: Path, source: Path) -> Path:
    """The file's own name if its stem is safe, made safe otherwise; never one outside the folder."""
    stem, suffix = slug(source.stem) or "picture", source.suffix.lower()
    target, number = folder / f"{stem}{suffix}", 2
    while os.path.lexists(target):
        target, number = folder / f"{stem}-{number}{suffix}", number + 1
    return target


def read_folder(folder: str | Path, instance_prompt: str, *, masked: bool = False) -> Listing:
    """The pictures of a folder with their exact prompts; with ``masked`` their masks are checked too.

    Raises:
        DataError: With everything that is wrong in it.
    """
    return scan_subject(folder, instance_prompt, masked=masked)
