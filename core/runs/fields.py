"""Fields of a journal's record as numbers: whatever a file holds, a reader gets a value of the right type.

NaN stands for a number that was not finite when it was written (the journal has null there).
"""

import math
from collections.abc import Mapping
from typing import Any

from core.runs.files import is_number

LAST_STEP = 999_999_999
"""Beyond it a number is no step: names of folders have no room for it either."""
LARGEST = 3.5e38
"""Beyond it a number is no measurement: what trains here counts with 32 bits."""
MOST = 2**53
"""Beyond it a number is no count: floats do not tell neighbours apart."""


def step(data: Mapping[str, Any]) -> int:
    """The optimizer step that a record belongs to.

    Raises:
        ValueError: If it has none.
    """
    value = data.get("step")
    if not is_number(value) or not 0 <= value <= LAST_STEP:
        raise ValueError("a record must have a step")
    return int(value)


def number(data: Mapping[str, Any], key: str, default: float = math.nan) -> float:
    """A number, the default where there is none."""
    value = data.get(key)
    return _plausible(value) if is_number(value) else default


def optional(data: Mapping[str, Any], key: str) -> float | None:
    """A number, None where there is none."""
    value = data.get(key)
    return _plausible(value) if is_number(value) else None


def count(data: Mapping[str, Any], key: str) -> int:
    """A whole number, 0 where there is none."""
    value = data.get(key)
    return int(value) if is_number(value) and abs(value) <= MOST else 0


def numbers(data: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """A list of numbers, empty where there is none."""
    return _row(data.get(key))


def rows(data: Mapping[str, Any], key: str) -> tuple[tuple[float, ...], ...]:
    """A list of lists of numbers, all of one length; empty where there is none."""
    value = data.get(key)
    found = tuple(_row(row) for row in value) if isinstance(value, list) else ()
    return found if len({len(row) for row in found}) <= 1 else ()


def _row(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_plausible(item) if is_number(item) else math.nan for item in value)


def _plausible(value: float) -> float:
    """The number; NaN for one that no measurement gives and no plot has room for."""
    return float(value) if abs(value) <= LARGEST else math.nan
