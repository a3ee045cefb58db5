"""Pictures for the Data tab: thumbnails, advice, uploads copied into the workspace. A user's folder is only read."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from core.config.presets import slug
from core.data.dreambooth import PICTURE_SUFFIXES, Listing, read_picture, scan_folder
from core.errors import DataError, Problem, RunError, reason_of

THUMBNAIL = 96
"""Pixels, longer side."""
SHOWN = 60
"""Pictures of a folder that get a thumbnail; the others are listed in words."""
FEW = 4


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


def warnings_of(listing: Listing, resolution: int) -> dict[Path, list[str]]:
    """What is unfortunate, though no error, about each picture."""
    found: dict[Path, list[str]] = {}
    for item in listing.items:
        notes = []
        if min(item.width, item.height) < resolution:
            notes.append(f"smaller than the resolution {resolution}: will be enlarged")
        if max(item.width, item.height) > 1.5 * min(item.width, item.height):
            notes.append("far from square: much is cut off")
        found[item.path] = notes
    return found


def count_text(count: int) -> str:
    """So many pictures, in words."""
    return "1 picture" if count == 1 else f"{count} pictures"


def advice(listing: Listing) -> list[str]:
    """What to know about the folder as a whole."""
    count = len(listing.items)
    lines = []
    if count < FEW:
        lines.append(f"{count_text(count)}: {FEW} or more learn a subject better than single views of it.")
    captions = [item for item in listing.items if item.prompt_source != "instance prompt"]
    if captions:
        lines.append(
            f"{len(captions)} of {count} pictures have a caption file, which replaces the instance prompt for them."
        )
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
        DataError: If there is no picture among them, or one cannot be read; nothing is kept then.
        RunError: If the folder cannot be written.
    """
    wanted = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES | {".txt", ".caption"}]
    pictures = [path for path in wanted if path.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise DataError(
            [
                Problem(
                    "instance_data_dir",
                    "the upload must hold at least one picture (png, jpg, jpeg, webp, bmp), got none",
                )
            ]
        )
    problems: list[Problem] = []
    for path in pictures:
        try:
            read_picture(path)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    stem = slug(name) or "pictures"
    try:
        folder = _free_folder(datasets, stem)
        for path in wanted:
            shutil.copyfile(path, free_file(folder, path))
    except OSError as error:
        raise RunError(f"{datasets} must be writable, got an error: {reason_of(error)}") from error
    return folder


def _free_folder(parent: Path, stem: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise RunError(f"{parent} must have room for another data set called {stem}; choose another name")


def free_file(folder: Path, source: Path) -> Path:
    """The file's own name if its stem is safe, made safe otherwise; never one outside the folder."""
    stem, suffix = slug(source.stem) or "picture", source.suffix.lower()
    target, number = folder / f"{stem}{suffix}", 2
    while target.exists():
        target, number = folder / f"{stem}-{number}{suffix}", number + 1
    return target


def read_folder(folder: str | Path, instance_prompt: str) -> Listing:
    """The pictures of a folder with their exact prompts.

    Raises:
        DataError: With everything that is wrong in it.
    """
    return scan_folder(folder, instance_prompt)
