"""The sample pictures of a run, found by their names: ``samples/step-000500/p00-s42.png``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.runs.folder import RunFolder

STEP = re.compile(r"step-(\d{1,9})")
PICTURE = re.compile(r"p(\d{1,3})-s(\d{1,10})\.png")


@dataclass(frozen=True, order=True)
class Spot:
    """What a sample shows: after which optimizer step, which prompt (its place in the list), from which seed."""

    step: int
    prompt: int
    seed: int


def samples_of(folder: RunFolder) -> dict[Spot, Path]:
    """All finished sample pictures of a run, in order; empty where there are none yet."""
    found = {}
    try:
        steps = [path for path in folder.samples_dir.iterdir() if STEP.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return {}
    for folder_of_step in steps:
        step = int(folder_of_step.name[len("step-") :])
        for path in folder_of_step.iterdir():
            match = PICTURE.fullmatch(path.name)
            if match and path.is_file() and not path.is_symlink():
                found[Spot(step, int(match[1]), int(match[2]))] = path
    return dict(sorted(found.items()))


def steps_of(samples: Sequence[dict[Spot, Path]]) -> list[int]:
    """Steps at which any of the runs has pictures."""
    return sorted({spot.step for found in samples for spot in found})


def seeds_of(samples: Sequence[dict[Spot, Path]]) -> list[int]:
    """Seeds of any of the runs' pictures."""
    return sorted({spot.seed for found in samples for spot in found})


def prompts_of(samples: Sequence[dict[Spot, Path]]) -> list[int]:
    """Places of the prompts that any of the runs has pictures of."""
    return sorted({spot.prompt for found in samples for spot in found})


def alt_text(arm: str, spot: Spot, prompt: str) -> str:
    """What a sample picture shows, for people who don't see it."""
    return f"{prompt}; {arm}, step {spot.step}, seed {spot.seed}"
