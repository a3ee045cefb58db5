"""The sample pictures of a run."""

from __future__ import annotations

from pathlib import Path

from app.journals import file_signature
from core.runs.folder import RunFolder
from core.samples.found import Spot, find_samples


def samples_of(folder: RunFolder) -> dict[Spot, Path]:
    """All finished sample pictures of a run, in order; empty where there are none yet."""
    return find_samples(folder.samples_dir)


def samples_signature(folder: RunFolder) -> str:
    """A short text that changes when a picture comes; the folders are asked, not the pictures."""
    try:
        steps = sorted(path for path in folder.samples_dir.iterdir() if not path.name.startswith("."))
    except OSError:
        return "-"
    return file_signature(*steps)
