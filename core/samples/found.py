"""The sample pictures of a run, found by their names: ``step-000500/p00-s42.png``. Imports no torch."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STEP = re.compile(r"step-(\d{1,9})")
PICTURE = re.compile(r"p(\d{1,3})-s(\d{1,10})\.png")


@dataclass(frozen=True, order=True)
class Spot:
    """What a sample shows: after which optimizer step, which prompt (its place in the list), from which seed."""

    step: int
    prompt: int
    seed: int


def find_samples(folder: Path) -> dict[Spot, Path]:
    """All finished sample pictures below a samples folder, in order; empty where there are none yet.

    Links are passed over, so that nothing outside the folder is found.
    """
    found = {}
    for entry in () if os.path.islink(folder) else _entries(folder):
        step = STEP.fullmatch(entry.name)
        if step is None or not entry.is_dir(follow_symlinks=False):
            continue
        for picture in _entries(Path(entry.path)):
            name = PICTURE.fullmatch(picture.name)
            if name is not None and picture.is_file(follow_symlinks=False):
                found[Spot(int(step[1]), int(name[1]), int(name[2]))] = Path(picture.path)
    return dict(sorted(found.items()))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def steps_of(samples: Iterable[Iterable[Spot]]) -> list[int]:
    """Steps at which any of the runs has pictures."""
    return sorted({spot.step for found in samples for spot in found})


def seeds_of(samples: Iterable[Iterable[Spot]]) -> list[int]:
    """Seeds of any of the runs' pictures."""
    return sorted({spot.seed for found in samples for spot in found})


def prompts_of(samples: Iterable[Iterable[Spot]]) -> list[int]:
    """Places of the prompts that any of the runs has pictures of."""
    return sorted({spot.prompt for found in samples for spot in found})


def alt_text(arm: str, spot: Spot, prompt: str) -> str:
    """What a sample picture shows, for people who don't see it."""
    return f"{prompt}; {arm}, step {spot.step}, seed {spot.seed}"
