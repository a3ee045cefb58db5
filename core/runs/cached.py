"""What a workspace keeps of encoded pictures and prompts, and of drawn class pictures."""

import os
from collections.abc import Iterator
from pathlib import Path

from core.errors import RunError, reason_of

CACHE_NAME = "cache"
CLASS_IMAGES = "class_images"
ENCODED = ("latents", "conditions")


def kept_of(root: Path) -> Iterator[tuple[str, int, int]]:
    """Name, files and bytes of each folder.

    Args:
        root: of the workspace.
    """
    for name, folder in [(name, root / CACHE_NAME / name) for name in ENCODED] + [(CLASS_IMAGES, root / CLASS_IMAGES)]:
        sizes = [path.lstat().st_size for path in _files(folder)]
        yield name, len(sizes), sum(sizes)


def clear_cache(root: Path) -> None:
    """Removes encoded pictures and prompts. A training that is in progress has read what it needs.

    Raises:
        RunError: a file cannot be removed.
    """
    for name in ENCODED:
        for path in _files(root / CACHE_NAME / name):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"{path} must be removable, got an error: {reason_of(error)}") from error


def _files(folder: Path) -> list[Path]:
    """The files below a folder; links are not followed."""
    return [Path(top, name) for top, _, names in os.walk(folder) for name in names]
