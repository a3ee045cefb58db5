"""Reads a caption file: the exact text that will be encoded, or one sentence. Imports no torch."""

import codecs
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from core.errors import DataError, Problem, unreadable
from core.regular import MEGABYTE, TooLarge, read_regular

CAPTION_SUFFIXES = (".txt", ".caption")
LONGEST = MEGABYTE
"""Bytes of a caption file; a text encoder reads some hundred."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that turn the direction of a text, and a stray byte order mark: not seen, and noise to a text encoder."""


@dataclass(frozen=True)
class Caption:
    """A caption as it will be encoded.

    Attributes:
        text: one line, single blanks.
        notes: what was changed in it, in words.
    """

    text: str
    notes: tuple[str, ...]


def read_caption(path: Path) -> Caption:
    """Reads a caption: UTF-8, or UTF-16 or UTF-32 with a byte order mark, which tells for sure.

    Anything else (Latin-1, for example) is refused, since which encoding it has cannot be told: guessing would train
    on letters that nobody wrote.

    Args:
        path: the file; control characters and marks of direction are taken out, and that is noted.

    Raises:
        DataError: it is missing, may not be read, has more than :data:`LONGEST` bytes, is in another encoding, or is
            empty.
    """
    caption = cleaned(_decoded(path, _content(path)))
    if not caption.text:
        raise _refused(path, "hold a caption, but it is empty; write one or remove it")
    return caption


def cleaned(text: str) -> Caption:
    """A text as it will be encoded: one line, without what is not seen. It may come out empty."""
    seen = "".join(" " if _is_control(letter) else letter for letter in text if letter not in _DIRECTIONS)
    changed = any(letter in _DIRECTIONS or _is_control(letter) for letter in text)
    return Caption(" ".join(seen.split()), ("invisible characters of the caption are left out",) if changed else ())


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, LONGEST)
    except TooLarge as error:
        raise _refused(path, f"be a caption, but {error.strerror}; shorten it or remove it") from error
    except FileNotFoundError as error:
        raise _refused(path, "be a file, but it is not there any more, or is a link to nothing; remove it") from error
    except OSError as error:
        raise DataError([unreadable(path.name, Path(path.name), error)]) from error


def _decoded(path: Path, content: bytes) -> str:
    mark, encoding = next((each for each in _MARKS if content.startswith(each[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = len(mark) + error.start
        name = encoding[:6].upper().removesuffix("-")
        rule = f"be {name} text, but byte {place} (0x{content[place]:02x}) is not; save the caption as UTF-8"
        raise _refused(path, rule) from error
    if "\x00" in text:
        raise _refused(path, "be UTF-8 text, but it holds null bytes; save the caption as UTF-8")
    return text


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) == "Cc" and not letter.isspace()


def _refused(path: Path, rule: str) -> DataError:
    return DataError([Problem(path.name, f"{path.name} must {rule}")])
