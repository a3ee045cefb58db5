"""A DreamBooth folder: which pictures it holds and the exact prompt that each is trained with. Imports no torch.

The prompt of a picture is the first that there is of: its sidecar; its line in the ``metadata.jsonl`` beside it; its
line in the data folder's; the name of its kohya folder; the instance prompt.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.data.captions import CAPTION_SUFFIXES, Caption, read_caption
from core.data.groups import Group, kohya_group, why_not_a_group
from core.data.masks import MASKS_FOLDER, check_mask, is_mask, masks_of
from core.data.metadata import METADATA_NAME, Metadata, not_there, read_metadata
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
        name: of the file from the data folder on, such as ``10_sks cat/a.png``.
        prompt: the text that will be encoded, whole.
        prompt_source: "instance prompt", "folder name", or the name of the sidecar or of the metadata file.
        width: pixels, after the camera's rotation is applied.
        height: pixels, after the camera's rotation is applied.
        notes: what happens to picture or caption that people may not expect, in words.
        repeats: how often it comes in an epoch.
        mask: file of its mask, which only counts with ``masked_loss``.
    """

    path: Path
    name: str
    prompt: str
    prompt_source: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    repeats: int = 1
    mask: Path | None = None


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        items: the pictures, by name; those of the folder itself before those of kohya folders in it.
        skipped: (file name, why) of everything that is no picture.
    """

    items: tuple[Item, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass
class _Found:
    """What is gathered on the way through the groups."""

    items: list[Item] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    masked: bool = False

    def caption(self, name: str) -> tuple[Caption, str] | None:
        """What the nearest metadata file says of a picture, and that file's name."""
        for metadata in reversed(self.metadata):
            if name in metadata.captions:
                return metadata.captions[name], metadata.name
        return None


def scan_folder(
    folder: Path | str, instance_prompt: str, option: str = "instance_data_dir", *, masked: bool = False
) -> Listing:
    """Reads a folder of pictures, and kohya's ``N_prompt`` folders in it, with their captions.

    Captions are ``.txt`` or ``.caption`` sidecars, and the lines of a ``metadata.jsonl``. Links are followed: the user
    named the folder. Other folders, pipes, sockets and devices are skipped, whatever they are called.

    Args:
        folder: where the pictures lie; it is only read.
        instance_prompt: the prompt of every picture that has no other.
        option: the option that named the folder, for the error's sentence.
        masked: whether masks will be used, and have to be good.

    Raises:
        DataError: the folder is missing or holds no picture, a picture, a caption or a mask cannot be used; all such
            problems at once.
    """
    folder = Path(os.path.expanduser(folder))
    paths, found = _listed(folder, option, str(folder)), _Found(masked=masked)
    groups = [group for path in paths if _is_folder(path) and (group := kohya_group(path)) is not None]
    _read_group(Group(folder, "", 1, instance_prompt, INSTANCE_PROMPT), paths, found)
    shared = len(found.metadata)
    for group in groups:
        del found.metadata[shared:]
        try:
            _read_group(group, _listed(group.path, group.path.name, group.path.name), found)
        except DataError as error:
            found.problems += error.problems
        found.problems += [problem for own in found.metadata[shared:] for problem in not_there(own, found.names)]
    found.problems += [problem for own in found.metadata[:shared] for problem in not_there(own, found.names)]
    if not found.names:
        found.problems.append(_no_picture(folder, option, found))
    if found.problems:
        raise DataError(found.problems)
    return Listing(tuple(found.items), tuple(found.skipped))


def scan_subject(folder: Path | str, instance_prompt: str, *, masked: bool) -> Listing:
    """The subject's pictures; with ``masked`` at least one of them has to have a mask.

    Raises:
        DataError: as ``scan_folder``, or there is no mask.
    """
    listing = scan_folder(folder, instance_prompt, masked=masked)
    if masked and not any(item.mask is not None for item in listing.items):
        rule = "masked_loss must be false for a folder without masks, got true"
        raise DataError([Problem("masked_loss", f"{rule}; put NAME-masklabel.png beside NAME.png, or masks/NAME.png")])
    return listing


def _no_picture(folder: Path, option: str, found: _Found) -> Problem:
    suffixes = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
    rule = f"{option} must hold at least one picture ({suffixes}), got none in {str(folder)!r}"
    named = [f"{name} is {why}" for name, why in found.skipped if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    return Problem(option, "; ".join([rule, *named[:NAMED]]))


def _read_group(group: Group, paths: Sequence[Path], found: _Found) -> None:
    """Adds one folder's pictures to what was found, with everything that is wrong in it."""
    skipped = {path: why for path in paths if (why := _why_skipped(path, nested=bool(group.prefix))) is not None}
    rest = [path for path in paths if path not in skipped and not _is_folder(path)]
    for path in [path for path in rest if path.name == METADATA_NAME]:
        try:
            found.metadata.append(read_metadata(path, group.prefix))
        except DataError as error:
            found.problems += error.problems
        skipped[path] = "captions"
    shown = [path for path in rest if path.suffix.lower() in PICTURE_SUFFIXES]
    pictures, masks = [path for path in shown if not is_mask(path)], [path for path in shown if is_mask(path)]
    mask_of = masks_of(pictures, masks, _masks_folder(group, paths))
    skipped |= {path: "a mask" if path in mask_of.values() else "a mask without a picture" for path in masks}
    captions = _captions(rest)
    skipped |= _beside(rest, {path.stem for path in pictures}, captions)
    found.names |= {group.prefix + path.name for path in pictures}
    for path in pictures:
        try:
            found.items.append(_read_item(path, group, captions.get(path.stem), mask_of.get(path), found))
        except DataError as error:
            found.problems += [_inside(group, problem) for problem in error.problems]
    found.skipped += [(printable(group.prefix + path.name), skipped[path]) for path in paths if path in skipped]


def _masks_folder(group: Group, paths: Sequence[Path]) -> list[Path]:
    if not any(path.name == MASKS_FOLDER and _is_folder(path) for path in paths):
        return []
    listed = _listed(group.path / MASKS_FOLDER, f"{group.prefix}{MASKS_FOLDER}", f"{group.prefix}{MASKS_FOLDER}")
    return [path for path in listed if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")]


def _inside(group: Group, problem: Problem) -> Problem:
    """The problem of a file, which its sentence begins with, told by its name from the data folder on."""
    return Problem(group.prefix + problem.option, group.prefix + problem.message)


def _listed(folder: Path, option: str, shown: str) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null byte or half a character in the name
        rule = f"{option} must be a folder that exists, got {shown!r}; check the path"
        raise DataError([Problem(option, rule)]) from None
    except OSError as error:
        raise DataError([unreadable(option, Path(shown), error)]) from error


def _why_skipped(path: Path, *, nested: bool) -> str | None:
    """Why a file is not even looked at; None if it is to be read, or to be complained about."""
    if path.name.startswith("."):
        return "hidden"
    try:
        mode = path.stat().st_mode
    except OSError:  # told when it is read
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode) and path.name == MASKS_FOLDER:
        return "the masks"
    if stat.S_ISDIR(mode):
        return "a folder in a folder" if nested else None if kohya_group(path) else why_not_a_group(path)
    if not stat.S_ISREG(mode):
        return "a pipe, a socket or a device"
    known = path.name == METADATA_NAME or path.suffix.lower() in PICTURE_SUFFIXES.union(CAPTION_SUFFIXES)
    return None if known else "no picture"


def _is_folder(path: Path) -> bool:
    return not path.name.startswith(".") and os.path.isdir(path)


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


def _read_item(path: Path, group: Group, caption: Path | None, mask: Path | None, found: _Found) -> Item:
    problems: list[Problem] = []
    look, name = Look(0, 0, ()), group.prefix + path.name
    said, source = found.caption(name) or (Caption(group.prompt, ()), group.source)
    try:
        look = look_at(path)
        if mask is not None and found.masked:
            check_mask(mask, path, (look.width, look.height))
    except DataError as error:
        problems += error.problems
    try:
        if caption is not None:
            said, source = read_caption(caption), caption.name
    except DataError as error:
        problems += error.problems
    if problems:
        raise DataError(problems)
    notes = look.notes + said.notes
    return Item(path, name, said.text, printable(source), look.width, look.height, notes, group.repeats, mask)
