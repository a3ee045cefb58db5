"""What a file holds, as a short name for it. Imports no torch."""

import hashlib
from pathlib import Path

from core.errors import DataError, unreadable
from core.regular import open_regular


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError([unreadable(path.name, Path(path.name), error)]) from error
