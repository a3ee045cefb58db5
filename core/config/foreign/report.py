"""What became of each key of a foreign file, in rows that the command line and the page show alike."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.config.foreign.values import is_secret
from core.config.spec import show_value
from core.config.table import value_text
from core.errors import Problem, printable

Standing = Literal["mapped", "differs", "ignored", "unknown"]
STANDINGS: dict[Standing, str] = {
    "mapped": "taken as it is",
    "differs": "behaves differently here",
    "ignored": "left out without harm",
    "unknown": "not known to this workbench",
}
LONGEST = 200
"""Characters that are shown of a key or a value."""


@dataclass(frozen=True)
class Finding:
    """What became of one key.

    Attributes:
        key: As the file writes it, or the tool's name for it where the file leaves it out.
        value: What the file says, or the tool's own default.
        standing: What kind of thing became of it.
        options: What it sets here, by flat name.
        words: Why, and what differs; empty where there is nothing to say.
        given: Whether it stands in the file; else its default counts.
    """

    key: str
    value: Any
    standing: Standing
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""
    given: bool = True

    @property
    def shown_key(self) -> str:
        """The key, one line."""
        return printable(self.key, LONGEST)

    @property
    def shown_value(self) -> str:
        """The value, one line, never a token."""
        if is_secret(self.key, self.value):
            return "(hidden)"
        text = self.value if isinstance(self.value, str) else show_value(self.value)
        return printable(text, LONGEST) + ("" if self.given else " (its default)")

    @property
    def shown_options(self) -> str:
        """What it sets here, as it would be typed."""
        return printable(", ".join(f"{name} = {value_text(value)}" for name, value in self.options.items()), LONGEST)


@dataclass(frozen=True)
class RampRow:
    """The chance of a rollout at one optimizer step.

    Attributes:
        step: Optimizer step, counted from 0.
        there: The chance, 0..1, as the other tool behaves.
        here: The chance, 0..1, as it was taken over.
    """

    step: int
    there: float
    here: float


def report_lines(findings: Iterable[Finding]) -> list[str]:
    """All findings for the terminal: a heading for each standing, what is left out of the file at the end."""
    rows = list(findings)
    lines: list[str] = []
    for standing, meaning in STANDINGS.items():
        here = [row for row in rows if row.standing == standing and (row.given or row.words)]
        if here:
            lines.append(f"{standing} ({meaning}): {len(here)}")
            lines += [_line(row) for row in here]
    silent = [row for row in rows if not row.given and not row.words]
    if silent:
        lines.append("not in the file, so its tool's defaults count:")
        lines += [f"  {row.shown_options}" for row in silent]
    return lines


def _line(row: Finding) -> str:
    arrow = f" -> {row.shown_options}" if row.options else ""
    words = f"; {row.words}" if row.words else ""
    return f"  {row.shown_key} = {row.shown_value}{arrow}{words}"


def ramp_lines(rows: Iterable[RampRow]) -> list[str]:
    """Both ramps as numbers; empty without rollouts on either side."""
    rows = list(rows)
    if not rows:
        return []
    head = ["chance of a rollout:", f"  {'optimizer step':>14}  {'there':>7}  {'here':>7}"]
    return [*head, *(f"  {row.step:>14}  {row.there:>7.3f}  {row.here:>7.3f}" for row in rows)]


def as_rows(findings: Iterable[Finding]) -> list[list[str]]:
    """Cells for a table: standing, key, value, what it sets here, words."""
    order = list(STANDINGS)
    rows = sorted(findings, key=lambda row: (order.index(row.standing), not row.given))
    return [[row.standing, row.shown_key, row.shown_value, row.shown_options, row.words] for row in rows]


def as_json(findings: Iterable[Finding], ramps: Iterable[RampRow], problems: Iterable[Problem]) -> dict[str, Any]:
    """The same for programs; values as they are shown, so that nothing secret gets out."""
    return {
        "keys": [
            {
                "key": row.shown_key,
                "value": row.shown_value,
                "standing": row.standing,
                "sets": json.loads(json.dumps(dict(row.options), default=str)),
                "words": row.words,
                "given": row.given,
            }
            for row in findings
        ],
        "ramps": [{"step": row.step, "there": row.there, "here": row.here} for row in ramps],
        "problems": [{"option": problem.option, "message": problem.message} for problem in problems],
    }
