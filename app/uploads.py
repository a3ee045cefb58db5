"""How much uploaded files may take of the disk before they are copied into the workspace."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_UPLOAD = 512 * 2**20
"""Bytes of one upload, all of its files together."""
MAX_KEPT = 4 * 2**30
"""Bytes of all uploads that the page keeps; they are tidied away after a day."""
RESERVE = 2**30
"""Bytes of the disk that uploads leave free."""
STALE = 600.0
"""Seconds without a write after which an upload that never ended is given up."""


class Uploads:
    """The page's folder of uploads.

    Args:
        folder: Where they are kept; need not exist.
        kept: Most bytes in it.
        reserve: Bytes of the disk to leave free.
    """

    def __init__(self, folder: Path, kept: int = MAX_KEPT, reserve: int = RESERVE) -> None:
        self.folder = folder
        self.kept = kept
        self.reserve = reserve
        self.coming = 0

    def problem(self, length: int) -> str | None:
        """Why there is no room for another upload; None where there is. Gives up uploads that broke off.

        Args:
            length: Of the upload, in bytes.
        """
        self._tidy()
        if self._taken() + self.coming + length > self.kept:
            return "there is no room for more uploads; they are tidied away after a day, or when the page is stopped"
        place = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        if shutil.disk_usage(place).free < self.coming + length + self.reserve:
            return "the disk is nearly full: free some space before you upload"
        return None

    @contextmanager
    def expecting(self, length: int) -> Iterator[None]:
        """Counts an upload that is under way, for those that come beside it."""
        self.coming += length
        try:
            yield
        finally:
            self.coming -= length

    def _taken(self) -> int:
        total = 0
        for parent, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(parent, name)).st_size
        return total

    def _tidy(self) -> None:
        """Removes what an upload leaves that was broken off: Gradio writes beside its folders, and forgets it."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as found:
            for entry in found:
                with suppress(OSError):
                    idle = time.time() - entry.stat(follow_symlinks=False).st_mtime
                    if entry.name.startswith("tmp") and entry.is_file(follow_symlinks=False) and idle > STALE:
                        os.unlink(entry.path)
