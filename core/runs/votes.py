"""Blind votes: which of two pictures of the same prompt and noise somebody preferred, without knowing the arms."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from core.runs import fields, journal
from core.runs.files import is_number
from core.runs.records import read_records

Choice = Literal["left", "right", "neither"]


@dataclass(frozen=True)
class Vote:
    """One vote, a line of ``votes.jsonl``.

    Attributes:
        time: Unix time.
        seed: Training seed of both runs; None in an experiment of an older version.
        step: Optimizer steps that both had taken.
        prompt: Place of the prompt among the validation prompts, from 0.
        sample_seed: Seed of the noise that both pictures were drawn from.
        left: Arm of the left picture.
        right: Arm of the right picture.
        choice: ``left``, ``right``, or ``neither``, a tie.
    """

    time: float
    seed: int | None
    step: int
    prompt: int
    sample_seed: int
    left: str
    right: str
    choice: Choice

    def __post_init__(self) -> None:
        """Refuses any other choice.

        Raises:
            ValueError: Then.
        """
        if self.choice not in get_args(Choice):
            raise ValueError(f'choice must be left, right or neither, got "{self.choice}"')

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record.

        Raises:
            ValueError: If it has no step, does not name two arms, or holds no choice.
        """
        left, right, seed = data.get("left"), data.get("right"), data.get("seed")
        if not isinstance(left, str) or not isinstance(right, str):
            raise ValueError("a vote must name two arms")
        return cls(
            time=fields.number(data, "time"),
            seed=int(seed) if is_number(seed) and math.isfinite(seed) else None,
            step=fields.step(data),
            prompt=fields.count(data, "prompt"),
            sample_seed=fields.count(data, "sample_seed"),
            left=left,
            right=right,
            choice=cast("Choice", data.get("choice")),
        )

    def to_dict(self) -> dict[str, Any]:
        """What goes into the journal."""
        return asdict(self)


@dataclass(frozen=True)
class Tally:
    """How the votes between two arms fell. Every vote counts, also several on the same two pictures.

    Attributes:
        wins: For the arm.
        losses: For its reference.
        ties: For neither; they are in no rate.
        rate: wins / (wins + losses); NaN before the first such vote.
        low: Lower end of its 95 % Wilson interval; 0 before the first such vote.
        high: Upper end; 1 before the first such vote.
    """

    wins: int
    losses: int
    ties: int
    rate: float
    low: float
    high: float


def record_vote(path: Path, vote: Vote) -> None:
    """Appends a vote.

    Args:
        path: ``votes.jsonl`` in the experiment's folder.
        vote: The vote.

    Raises:
        RunError: If it cannot be written.
    """
    journal.append(path, vote.to_dict())


def read_votes(path: Path) -> list[Vote]:
    """All votes in their order; empty where there is none yet. A line that cannot be read is left out."""
    return read_records(Vote, path)


def tally(votes: Iterable[Vote], arm: str, reference: str) -> Tally:
    """Counts the votes between two arms; those on other arms' pictures are left out."""
    between = [vote for vote in votes if {vote.left, vote.right} == {arm, reference}]
    chosen = [getattr(vote, vote.choice) for vote in between if vote.choice != "neither"]
    wins, decided = chosen.count(arm), len(chosen)
    low, high = wilson(wins, decided)
    return Tally(wins, decided - wins, len(between) - decided, wins / decided if decided > 0 else math.nan, low, high)


def wilson(wins: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, Probable inference), by scipy; 0 and 1 without a trial.

    Args:
        wins: 0..trials.
        trials: 0 or more.
    """
    if trials == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest  # half a second to import: not at every start of the page

    found = binomtest(wins, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
