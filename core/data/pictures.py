"""Reads a picture file, whatever it holds: an upright RGB picture, or one sentence. Imports no torch."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import DataError, Problem, reason_of
from core.regular import MEGABYTE, open_regular, size_text

MAX_PIXELS = 64_000_000
"""Above this a picture is refused before it is decoded."""
MAX_BYTES = 512 * MEGABYTE
"""Above this a file is refused before it is opened as a picture: some decoders read all of it at once."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
"""What is decoded, by content, whatever the file's name ends with. No others: some start programs of their own."""
_EMPTY = "is empty; replace or remove it"
_DAMAGED = "is damaged or cut short and cannot be decoded; replace or remove it"
_FOREIGN = "is no png, jpg, webp or bmp inside, whatever its name says; save it as one of them or remove it"
_GONE = "is not there any more, or is a link to nothing; remove the link or read the folder again"


@dataclass(frozen=True)
class Look:
    """What a picture is like.

    Attributes:
        width: pixels, after the camera's rotation is applied.
        height: pixels, after the camera's rotation is applied.
        notes: what happens to it on the way to RGB that people may not expect, in words.
    """

    width: int
    height: int
    notes: tuple[str, ...]


def look_at(path: Path) -> Look:
    """Decodes a picture whole and tells what it is like.

    Raises:
        DataError: as ``read_picture``.
    """
    with _decoded(path) as (picture, animated):
        notes = []
        if animated:
            notes.append("animated: its first frame is used")
        if picture.mode == "CMYK":
            notes.append("print colours (CMYK) are converted without their profile: check how they look")
        if _is_transparent(picture):
            notes.append("transparent parts are laid on white")
        return Look(picture.width, picture.height, tuple(notes))


def read_picture(path: Path) -> Image.Image:
    """Decodes a picture to RGB: upright, with transparency laid on white; of an animation, the first frame.

    Raises:
        DataError: it is missing, may not be read, is no picture file, is none of :data:`FORMATS`, is damaged, has
            16 bits a channel, more than :data:`MAX_PIXELS` pixels or :data:`MAX_BYTES` bytes, or holds texts or
            profiles that unpack to a size without reason.
    """
    with _decoded(path) as (picture, _):
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")


@contextmanager
def _decoded(path: Path) -> Iterator[tuple[Image.Image, bool]]:
    """The upright picture, decoded, and whether it is the first of several frames."""
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise _refused(path, f"has {size_text(size)}; make it smaller than {size_text(MAX_BYTES)}")
            if size == 0:
                raise _refused(path, _EMPTY)
            with Image.open(file, formats=FORMATS) as picture:
                _check(path, picture)
                # telephones keep a depth map or a bright version behind a JPEG: that is no animation
                animated = picture.format != "MPO" and getattr(picture, "is_animated", False)
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
                yield picture, animated
    except Image.DecompressionBombError as error:
        raise _refused(path, f"has more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller") from error
    except UnidentifiedImageError as error:
        raise _refused(path, _FOREIGN) from error
    except FileNotFoundError as error:
        raise _refused(path, _GONE) from error
    except OSError as error:  # Pillow's own have no number
        why = _DAMAGED if error.errno is None else f"cannot be read: {reason_of(error)}"
        raise _refused(path, why) from error
    except (SyntaxError, ValueError, EOFError, struct.error) as error:
        raise _refused(path, _DAMAGED) from error


def _check(path: Path, picture: Image.Image) -> None:
    """Refuses, before it is decoded, what cannot be honoured."""
    if picture.width * picture.height > MAX_PIXELS:
        raise _refused(path, f"has {picture.width} × {picture.height} pixels; make it smaller")
    if picture.mode.startswith(("I", "F")):
        raise _refused(path, "has more than 8 bits a channel; save it with 8 bits a channel")


def _is_transparent(picture: Image.Image) -> bool:
    """Whether anything of it is seen through; most pictures with an alpha channel are solid."""
    if not picture.has_transparency_data:
        return False
    lowest, _ = picture.convert("RGBA").getchannel("A").getextrema()
    return lowest < 255


def _refused(path: Path, why: str) -> DataError:
    return DataError([Problem(path.name, f"{path.name} must be a readable picture, but it {why}")])
