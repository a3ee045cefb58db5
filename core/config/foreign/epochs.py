"""Other tools count a training in epochs; here it is told in optimizer steps."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from core.config.foreign.report import Finding
from core.data.dreambooth import PICTURE_SUFFIXES

STEPS = "max_train_steps"
MOST_FILES = 100_000
"""Entries of a folder that are looked at."""


@dataclass(frozen=True)
class EpochPlan:
    """What decides how long a training in epochs is.

    Attributes:
        key: The key that says the epochs.
        epochs: How often each picture is taken, repeats apart; above 0.
        batch: Pictures in a batch, at least 1.
        accumulation: Batches in an optimizer step, at least 1.
        items: Pictures of all folders, each times its repeats; None where they were not counted.
    """

    key: str
    epochs: float
    batch: int
    accumulation: int
    items: int | None


def finding_of(plan: EpochPlan) -> Finding:
    """The length of the training in optimizer steps, or that it could not be counted."""
    shown = f"{plan.epochs:g}"
    if plan.items is None or plan.items == 0:
        words = f"epochs need the pictures counted, which are not at hand: give {STEPS} = epochs × pictures / batch"
        return Finding(plan.key, shown, "differs", words=words)
    batches = math.ceil(plan.items / plan.batch)
    steps = max(1, math.ceil(min(plan.epochs, 1e9) * math.ceil(batches / plan.accumulation)))
    words = f"{shown} epochs of {plan.items} pictures with their repeats in batches of {plan.batch}"
    return Finding(plan.key, shown, "differs", {STEPS: steps}, words)


def count_pictures(folder: Path) -> int | None:
    """Pictures directly in a folder; None where it cannot be looked into."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES
                for _, entry in zip(range(MOST_FILES), entries, strict=False)
            )
    except (OSError, ValueError):
        return None
