"""A finding: what was looked at, what was found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["pass", "warn", "fail", "info"]


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        level: ``pass``, ``info`` (good to know), ``warn`` (may go on) or ``fail`` (cannot go on so).
        title: What was checked.
        text: What was found, and what to do.
    """

    level: Level
    title: str
    text: str
