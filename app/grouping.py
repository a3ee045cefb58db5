"""The trainings of an experiment by arm and by training seed, as their names tell: ``rollout``, ``rollout-s43``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.entries import Arm, Entry

FEW = 6
"""So many trainings are shown one by one."""
SEEDED = re.compile(r"(.+)-s(\d+)")


def arm_and_seed(label: str) -> tuple[str, int | None]:
    """``("rollout", 43)`` of ``rollout-s43``; an arm that is trained with one seed only does not name it."""
    found = SEEDED.fullmatch(label)
    return (found[1], int(found[2])) if found else (label, None)


def names_and_seeds(arms: Sequence[Arm]) -> tuple[list[str], list[int | None]]:
    """Names of arms and seeds, each in the order in which they first come."""
    pairs = [arm_and_seed(arm.label) for arm in arms]
    return list(dict.fromkeys(name for name, _ in pairs)), list(dict.fromkeys(seed for _, seed in pairs))


def arms_in_words(arms: Sequence[Arm]) -> str:
    """Names of the arms, with the number of seeds where there are several."""
    names, seeds = names_and_seeds(arms)
    return ", ".join(names) + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")


def in_view(entry: Entry) -> tuple[Arm, ...]:
    """The trainings that pictures, logs and facts are shown of: all where they are few, else what has begun of a seed.

    That is the seed of the one that runs, else of the last that has begun.
    """
    if len(entry.arms) <= FEW:
        return entry.arms
    begun = [arm for arm in entry.arms if arm.state.live or arm.state.status.step > 0] or entry.arms[:1]
    last = begun[-1] if entry.active is None else entry.active
    seed = arm_and_seed(last.label)[1]
    return tuple(arm for arm in begun if arm_and_seed(arm.label)[1] == seed)[:FEW]


def what_is_in_view(entry: Entry) -> str:
    """Which of many trainings are in view, a sentence; empty where all are."""
    shown = in_view(entry)
    if len(shown) == len(entry.arms):
        return ""
    seed = arm_and_seed(shown[0].label)[1]
    which = "The first arms" if seed is None else f"Training seed {seed}"
    return f"{which} alone, of {len(entry.arms)} trainings; Compare shows the others."
