"""A DreamBooth folder: which pictures it holds and the exact prompt that each is trained with. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import DataError, Problem, unreadable

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
CAPTION_SUFFIXES = (".txt", ".caption")
MAX_PIXELS = 64_000_000
"""Above this a picture is refused before it is decoded."""


@dataclass(frozen=True)
class Item:
    """One training picture.

    Attributes:
        path: the picture file.
        prompt: the text that will be encoded, whole.
        prompt_source: "instance prompt", or the name of the sidecar file.
        width: pixels, after the camera's rotation is applied.
        height: pixels, after the camera's rotation is applied.
    """

    path: Path
    prompt: str
    prompt_source: str
    width: int
    height: int


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

    Args:
        folder: where the pictures lie; it is only read.
        instance_prompt: the prompt of every picture that has no sidecar.
        option: the option that named the folder, for the error's sentence.

    Raises:
        DataError: the folder is missing or holds no picture, a picture cannot be read, a caption is not UTF-8; all
            such problems at once.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(
            [Problem(option, f"{option} must be a folder that exists, got {str(folder)!r}; check the path")]
        )
    items: list[Item] = []
    skipped: list[tuple[str, str]] = []
    problems: list[Problem] = []
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError([unreadable(option, folder, error)]) from error
    pictures = {path.stem for path in paths if path.suffix.lower() in PICTURE_SUFFIXES}
    captions = _captions(paths)
    for path in paths:
        why = _why_skipped(path, pictures)
        if why is not None:
            skipped.append((path.name, why))
            continue
        try:
            items.append(_read_item(path, instance_prompt, captions.get(path.stem)))
        except DataError as error:
            problems += error.problems
    if not items and not problems:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
        problems.append(
            Problem(option, f"{option} must hold at least one picture ({suffixes}), got none in {str(folder)!r}")
        )
    if problems:
        raise DataError(problems)
    return Listing(tuple(items), tuple(skipped))


def read_picture(path: Path) -> Image.Image:
    """Decodes a picture to RGB, upright, with transparency laid on white.

    Raises:
        DataError: the file is no picture, is cut short, or has more than :data:`MAX_PIXELS` pixels.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise _unreadable(path, f"has {opened.width} × {opened.height} pixels; make it smaller")
            upright = ImageOps.exif_transpose(opened)
            if upright.mode in ("I", "I;16", "F"):
                raise _unreadable(path, f"has {upright.mode} pixels; save it with 8 bits a channel")
            rgba = upright.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, "cannot be decoded; replace or remove it") from error
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _unreadable(path: Path, why: str) -> DataError:
    return DataError([Problem(path.name, f"{path.name} must be a readable picture, but it {why}")])


def _captions(paths: list[Path]) -> dict[str, Path]:
    """The caption file of each stem; the first of CAPTION_SUFFIXES counts, in small or capital letters."""
    found = [path for path in paths if path.suffix.lower() in CAPTION_SUFFIXES and path.is_file()]
    found.sort(key=lambda path: CAPTION_SUFFIXES.index(path.suffix.lower()), reverse=True)
    return {path.stem: path for path in found}


def _why_skipped(path: Path, pictures: set[str]) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "a folder"
    if path.suffix.lower() in CAPTION_SUFFIXES:
        return "a caption" if path.stem in pictures else "a caption without a picture"
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return "no picture"
    return None


def _read_item(path: Path, instance_prompt: str, caption: Path | None) -> Item:
    problems: list[Problem] = []
    size, prompt, source = (0, 0), instance_prompt, "instance prompt"
    try:
        size = read_picture(path).size
    except DataError as error:
        problems += error.problems
    try:
        if caption is not None:
            prompt, source = _read_caption(caption), caption.name
    except DataError as error:
        problems += error.problems
    if problems:
        raise DataError(problems)
    return Item(path, prompt, source, *size)


def _read_caption(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"{path.name} must be UTF-8 text, but byte {error.start} is not; save the caption as UTF-8"
        raise DataError([Problem(path.name, rule)]) from error
    except OSError as error:
        raise DataError([unreadable(path.name, path, error)]) from error
    if "\x00" in text:
        raise DataError(
            [Problem(path.name, f"{path.name} must be UTF-8 text, but it holds null bytes; save it as UTF-8")]
        )
    caption = " ".join(text.split())
    if not caption:
        raise DataError(
            [Problem(path.name, f"{path.name} must hold a caption, but it is empty; write one or remove it")]
        )
    return caption
