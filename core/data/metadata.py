"""Reads ``metadata.jsonl``, the captions of a folder as HF's imagefolder has them. Imports no torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from core.data.captions import Caption, cleaned
from core.errors import DataError, Problem, unreadable
from core.regular import MEGABYTE, TooLarge, read_regular

METADATA_NAME = "metadata.jsonl"
LARGEST = 64 * MEGABYTE
NAMED = 10
"""Lines of one file that an error names; a file of the wrong kind is wrong in every line."""


@dataclass(frozen=True)
class Metadata:
    """The captions of a ``metadata.jsonl``.

    Attributes:
        name: of the file, from the data folder on.
        captions: by the picture's name, from the data folder on.
        lines: in which each picture's caption stands, from 1.
    """

    name: str
    captions: dict[str, Caption] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_metadata(path: Path, prefix: str = "") -> Metadata:
    """Reads one object a line with ``file_name``, from the file's own folder on, and ``text``; empty lines are passed.

    Args:
        path: the file.
        prefix: of its folder, from the data folder on, such as ``10_sks cat/``.

    Raises:
        DataError: it cannot be read, or lines of it are wrong: all of them at once, the first :data:`NAMED` by number.
    """
    found, wrong = Metadata(prefix + path.name), []
    for number, line in enumerate(_lines(path, found.name), 1):
        if not line.strip():
            continue
        problem = _take(line, number, found, prefix)
        if problem is not None:
            wrong.append(f"{problem} in line {number}")
    if len(wrong) > NAMED:
        wrong = [*wrong[:NAMED], f"and {len(wrong) - NAMED} more such lines"]
    if wrong:
        rule = 'hold one object such as {"file_name": "a.png", "text": "a sks cat"} a line, got'
        raise DataError([Problem(found.name, f"{found.name} must {rule} {why}") for why in wrong])
    return found


def not_there(metadata: Metadata, names: set[str]) -> list[Problem]:
    """The captions of pictures that are not there, as problems.

    Args:
        metadata: what was read.
        names: of all pictures, from the data folder on.
    """
    lost = [(name, line) for name, line in metadata.lines.items() if name not in names]
    more = f", and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    if not lost:
        return []
    named = ", ".join(f"{name!r} in line {line}" for name, line in lost[:NAMED])
    rule = f"{metadata.name} must name pictures that are read with it, got {named}{more}; correct or remove that"
    return [Problem(metadata.name, rule)]


def _lines(path: Path, name: str) -> list[str]:
    try:
        return read_regular(path, LARGEST).decode("utf-8-sig").split("\n")
    except TooLarge as error:
        raise DataError([Problem(name, f"{name} must be a file of captions, but {error.strerror}")]) from error
    except OSError as error:
        raise DataError([unreadable(name, Path(name), error)]) from error
    except UnicodeDecodeError as error:
        raise DataError([Problem(name, f"{name} must be UTF-8 text, but byte {error.start} is not")]) from error


def _take(line: str, number: int, found: Metadata, prefix: str) -> str | None:
    """Puts a line's caption where it belongs; what is wrong with it, in words, or None."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "something else"
    if not isinstance(row, dict):
        return "something else"
    file_name, text = row.get("file_name"), row.get("text")
    if not isinstance(file_name, str) or not file_name:
        return "no file_name"
    caption = cleaned(text) if isinstance(text, str) else None
    if caption is None or not caption.text:
        return f"no text for {file_name!r}"
    name = prefix + file_name.removeprefix("./")
    if name in found.lines:
        return f"{file_name!r} again, which is in line {found.lines[name]},"
    found.captions[name], found.lines[name] = caption, number
    return None
