"""Small effects on files: replace whole, read bounded, name safely. Their errors are sentences."""

import contextlib
import errno
import json
import math
import os
import re
import secrets
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from core.config.presets import LONGEST_TITLE
from core.config.presets import slug as plain_slug
from core.errors import RunError, printable, reason_of
from core.regular import open_regular

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_LENGTH = 40
HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
"""How JSON begins to spell a surrogate; two in a row are one character, one alone is none."""

_WHAT_TO_DO = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space within your disk quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) or choose another folder",
    errno.EROFS: "choose a folder on a disk that is not read-only",
    errno.EACCES: "choose another folder or allow this user to write there",
    errno.EPERM: "choose another folder or allow this user to write there",
    errno.ENOTDIR: "choose another folder: a part of that path is a file",
    errno.EEXIST: "choose another folder: a file stands in its place",
    errno.EISDIR: "move away the folder that stands in its place",
}


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error that ``path`` cannot be written: why, and what to do about it."""
    advice = _WHAT_TO_DO.get(error.errno if error.errno is not None else 0, "choose another folder")
    return RunError(f"{path} must be writable, got an error: {reason_of(error)}; {advice}")


def make_folder(path: Path) -> None:
    """Makes ``path`` and its parents; an existing folder is fine.

    Raises:
        RunError: If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_whole(path: Path, data: str | bytes, *, durable: bool = False) -> None:
    """Writes a file aside and renames it into place, so that a reader sees the old one or the new one, never a part.

    Args:
        path: Where the file ends up; its folder must exist.
        data: All of it.
        durable: Whether to wait until it is on the disk, so that it outlives a power cut as well as a crash.

    Raises:
        RunError: If it cannot be written; what stood at ``path`` still stands then.
    """
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            file.write(data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace"))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, path)
        if durable:
            sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise cannot_write(path, error) from error


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: If the disk does not take them.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a disk that cannot be asked to wait for a folder
            raise
    finally:
        os.close(fd)


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON that any reader takes: numbers of other libraries become plain, NaN and infinities become null."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    """The same value out of what JSON has; arrays and their scalars by their own ``tolist``."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return _plain(value.tolist())


def read_bounded(path: Path, limit: int = 1 << 18) -> bytes | None:
    """The first ``limit`` bytes of a file, or None where there is no file that can be read."""
    try:
        with open_regular(path) as file:
            return file.read(limit)
    except (OSError, ValueError):
        return None


def is_missing(path: Path) -> bool:
    """Whether nothing stands at a path; what cannot be read, for whatever cause, is not missing."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a small file; None when it is missing, torn or something else."""
    data = read_bounded(path)
    return None if data is None else parse_object(data)


def read_lasting(path: Path) -> dict[str, Any] | None:
    """``read_object`` for files that are written once: read again only when the file is another.

    The object is shared: do not change it.
    """
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return _read_at(path, facts.st_ino, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4096)
def _read_at(path: Path, *facts: int) -> dict[str, Any] | None:
    """What a file with that inode, time and size holds."""
    return read_object(path)


def parse_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that ``data`` is, or None. Halves of surrogate pairs, which no page can send, become ``?``."""
    try:
        value = json.loads(data)
        if isinstance(value, dict) and HALF_CHARACTER.search(data) is not None:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def slug(name: str) -> str:
    """The folder name for what a person typed: ``a-z``, ``0-9`` and single dashes, at most 40 characters.

    Raises:
        RunError: If nothing of the name is left.
    """
    short = plain_slug(name, SLUG_LENGTH)
    if not short:
        raise RunError(f'name must hold a letter a-z or a digit, got "{printable(name, LONGEST_TITLE)}"')
    return short


def title_text(name: object) -> str:
    """What a person called something, as it can be shown: one line, cut where too long; empty if it is no text."""
    return printable(name.strip(), LONGEST_TITLE) if isinstance(name, str) else ""


def new_folder(parent: Path, name: str) -> Path:
    """Makes a folder of its own: ``slug(name)``, or with -2, -3 … where that is taken. Two callers never share one.

    Raises:
        RunError: If it cannot be made or the name holds nothing usable.
    """
    base = slug(name)
    make_folder(parent)
    count = 1
    while True:
        suffix = "" if count == 1 else f"-{count}"
        path = parent / (base[: SLUG_LENGTH - len(suffix)].rstrip("-") + suffix)
        try:
            path.mkdir()
        except FileExistsError:
            count += 1
        except OSError as error:
            raise cannot_write(path, error) from error
        else:
            return path
