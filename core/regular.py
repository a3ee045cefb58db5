"""Reads files that somebody else made: only regular ones, never more than was asked for, never waiting.

A pipe waits for a writer that may never come, and a device such as ``/dev/zero`` has no end; both can be called
``a.png``.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MEGABYTE = 2**20


class TooLarge(OSError):
    """A file that is larger than what is read of its kind."""


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file to read bytes; links are followed.

    Raises:
        OSError: It is missing, may not be read, or is no regular file.
        ValueError: The path can be no file's name.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device")
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """All of a regular file.

    Args:
        path: The file; links are followed.
        limit: Most bytes that it may have.

    Raises:
        TooLarge: It has more; none of them is read then.
        OSError: It is missing, may not be read, or is no regular file.
        ValueError: The path can be no file's name.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > limit else file.read(limit + 1)  # it may grow meanwhile
    if size > limit or len(data) > limit:
        raise TooLarge(errno.EFBIG, f"it has {size_text(size)}, and at most {size_text(limit)} are read")
    return data


def size_text(size: int) -> str:
    """Bytes in words: ``312 bytes``, ``1.5 MB``."""
    return f"{size} bytes" if size < MEGABYTE else f"{size / MEGABYTE:.4g} MB"


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
