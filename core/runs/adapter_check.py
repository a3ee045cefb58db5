"""Whether the adapter that a finished run left can be read. Imports no torch; reads the file's header alone."""

import errno
import os
import stat
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.errors import reason_of
from core.models.lora_path import DIFFUSERS_FILE
from core.runs.folder import RunFolder


def adapter_problem(folder: RunFolder) -> str | None:
    """Why the final adapter cannot be read; None where it can, and where there is no folder for one.

    Header and size have to fit each other; after a copy that was cut, or a disk that lost a part, they do not. A file
    is opened once: hundreds of finished runs are looked at every second.
    """
    if not os.path.isdir(folder.adapter_dir):
        return None
    path = folder.adapter_dir / DIFFUSERS_FILE
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        reason = _damage(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except OSError as error:
        reason = reason_of(error)
    if reason is None:
        return None
    return f"{path} must be a whole adapter, got an error: {reason}; resume the run to save it again"


@lru_cache(maxsize=4096)
def _damage(path: Path, size: int, changed: int, inode: int) -> str | None:
    """What is wrong with a file of that size and time, None where nothing is."""
    try:
        with safe_open(path, framework="numpy") as file:
            return None if file.keys() else "it holds nothing"
    except SafetensorError as error:
        return str(error).removeprefix("Error while deserializing header: ")
