"""Append-only journals: one JSON object a line. Writers append whole lines, readers forgive what a crash left."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import RunError
from core.regular import open_regular
from core.runs.files import cannot_write, is_number, parse_object, sync, to_json, write_whole

BLOCK = 1 << 20
LONGEST_LINE = 1 << 20
"""Bytes; a full drift measurement takes some thousand."""


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Adds one record in a single write, so that several writers never mix within a line.

    A line that an earlier crash tore is closed first: it costs itself, not the record after it.

    Args:
        path: The journal; made when missing, its folder must exist.
        record: What JSON can hold; arrays and their scalars become plain numbers, NaN and infinities null.

    Raises:
        RunError: If the line cannot be written whole, for example because the disk is full.
    """
    line = to_json(record).encode() + b"\n"
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = _size_of_file(fd)
            if size > 0 and os.pread(fd, 1, size - 1) != b"\n":
                line = b"\n" + line
            written = os.write(fd, line)
        finally:
            os.close(fd)
    except OSError as error:
        raise cannot_write(path, error) from error
    if written < len(line):
        raise RunError(f"{path} must take a whole line, got a part of it only; free some space on that disk")


def settle(*paths: Path) -> None:
    """Waits until what the journals hold is on the disk; one that is not there yet needs nothing.

    Called before a checkpoint takes its name, so that after a power cut no record up to its step is missing.

    Raises:
        RunError: If the disk does not take it.
    """
    for path in paths:
        try:
            sync(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise cannot_write(path, error) from error


class Tail:
    """Reads a journal as it grows, by byte offset, up to its last newline.

    Attributes:
        bad_lines: How many finished lines were no JSON object, since the journal's beginning.
        torn: Whether bytes wait after the last newline: a line that is being written, or that a crash tore.
        restarted: Whether the latest ``read`` began anew because the journal was cut or replaced (a resumed run);
            what was read before is void then.
    """

    def __init__(self, path: Path) -> None:
        """Starts before the first line; the file need not exist yet."""
        self.path = path
        self.bad_lines = 0
        self.torn = False
        self.restarted = False
        self._offset = 0
        self._overlong = False
        self._inode: int | None = None

    def read(self) -> list[dict[str, Any]]:
        """The records that were finished since the last call; empty where there is nothing new or no file yet.

        A line beyond ``LONGEST_LINE`` is no record: it is passed over and counts as bad, so that garbage without an end
        is read once.
        """
        self.restarted = False
        try:
            with open_regular(self.path) as file:
                self._find_place(file.fileno())
                file.seek(self._offset)
                return self._take(file)
        except OSError:
            if self._offset > 0:
                self._begin_anew()
            return []

    def _find_place(self, fd: int) -> None:
        """Begins anew when this is another journal than the one that was read, or a shorter one."""
        facts = os.fstat(fd)
        replaced = self._inode is not None and self._inode != facts.st_ino
        cut = facts.st_size < self._offset
        if not cut and self._offset > 0 and not self._overlong:
            cut = os.pread(fd, 1, self._offset - 1) != b"\n"
        if replaced or cut:
            self._begin_anew()
        self._inode = facts.st_ino

    def _begin_anew(self) -> None:
        self.restarted = self._offset > 0
        self.bad_lines = 0
        self._offset = 0
        self._overlong = False
        self._inode = None

    def _take(self, file: BinaryIO) -> list[dict[str, Any]]:
        """The records of all lines from here to the last newline."""
        found: list[dict[str, Any]] = []
        rest = b""
        while block := file.read(BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                self._parse(line, found)
            if self._overlong or len(rest) > LONGEST_LINE:
                self._offset += len(rest)
                self._overlong, rest = True, b""
        self.torn = len(rest) > 0 or self._overlong
        return found

    def _parse(self, line: bytes, found: list[dict[str, Any]]) -> None:
        record = None if self._overlong else parse_object(line)
        if record is not None:
            found.append(record)
        elif self._overlong or line.strip():
            self.bad_lines += 1
        self._overlong = False


def _size_of_file(fd: int) -> int:
    """Bytes of an open file.

    Raises:
        OSError: If it is a pipe: what is written into one waits for a reader.
    """
    facts = os.fstat(fd)
    if stat.S_ISFIFO(facts.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe")
    return facts.st_size


def read_all(path: Path) -> list[dict[str, Any]]:
    """Every finished record of a journal; use ``Tail`` to learn how many lines were bad."""
    return Tail(path).read()


def truncate_after(path: Path, step: int) -> int:
    """Drops the records after an optimizer step, for a run that resumes from a checkpoint of that step.

    Records without a step stay. Torn and garbage lines go. The journal is rewritten aside and renamed: a crash in
    between leaves the old one. No other process may append meanwhile.

    Args:
        path: The journal; a missing one stays missing.
        step: The last step to keep.

    Returns:
        How many lines were dropped, bad ones included.

    Raises:
        RunError: If the journal cannot be read or rewritten.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise cannot_write(path, error) from error
    lines = [line for line in data.split(b"\n") if line.strip()]
    kept = [line for line in lines if _is_until(parse_object(line), step)]
    if len(kept) < len(lines):
        write_whole(path, b"".join(line + b"\n" for line in kept), durable=True)
    return len(lines) - len(kept)


def _is_until(record: dict[str, Any] | None, step: int) -> bool:
    if record is None:
        return False
    at = record.get("step")
    return not is_number(at) or at <= step
