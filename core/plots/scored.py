"""What the plots of scores are given; the types that fit are made in ``core.evaluation``, which lies above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

EMPTY = "No run is scored yet"


@runtime_checkable
class ScoredRun(Protocol):
    """A run with its scores.

    Attributes:
        seed: Of the training.
        values: By name of the score; NaN or missing where it was not measured.
        seconds: Of the training.
        compute: Forward equivalents of the training, items.
    """

    seed: int
    values: Mapping[str, float]
    seconds: float
    compute: float


@runtime_checkable
class Compared(Protocol):
    """An arm against the reference in one score.

    Attributes:
        arm: Its name.
        reference: Name of the arm that it is read against.
        score: Name of the score.
        seeds: Training seeds that both have.
        differences: Arm minus reference, one a seed.
        mean: Of the differences.
        interval: Of the mean; None where there are too few seeds for one.
    """

    arm: str
    reference: str
    score: str
    seeds: Sequence[int]
    differences: Sequence[float]
    mean: float
    interval: tuple[float, float] | None
