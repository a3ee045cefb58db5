"""What a workspace keeps of encoded pictures and prompts, and of drawn class pictures."""

import os
from collections.abc import Iterator
from pathlib import Path

from core.errors import RunError, reason_of
from core.runs.lock import occupants

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
    for path in _encoded(root):
        _remove(path)


def trim_cache(root: Path, size: int) -> None:
    """Removes encoded pictures and prompts, first those that no training has used for longest.

    Args:
        root: of the workspace.
        size: bytes that they may take afterwards.

    Raises:
        RunError: a training is in progress in the workspace, or a file cannot be removed.
    """
    busy = occupants(root)
    if busy:
        names = " and ".join(each.name for each in busy)
        raise RunError(f"the cache must be trimmed while nothing is in progress, got {names}; wait for it or stop it")
    facts = {path: path.lstat() for path in _encoded(root)}
    left = sum(each.st_size for each in facts.values())
    for path in sorted(facts, key=lambda path: (facts[path].st_mtime_ns, path)):
        if left <= size:
            return
        _remove(path)
        left -= facts[path].st_size


def _encoded(root: Path) -> list[Path]:
    return [path for name in ENCODED for path in _files(root / CACHE_NAME / name)]


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} must be removable, got an error: {reason_of(error)}") from error


def _files(folder: Path) -> list[Path]:
    """The files below a folder; links are not followed."""
    return [Path(top, name) for top, _, names in os.walk(folder) for name in names]
