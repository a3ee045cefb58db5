"""Moments that keep their distance though somebody sets the clock.

The wall clock jumps: a time server corrects it, a laptop wakes up. How long ago something was is therefore told by the
machine's steady clock, which all processes share and which stands still while the machine sleeps; its readings mean
something within one start of the machine only.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from core.runs.files import is_number

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str | None:
    """Which start of the machine this is; None where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return None


@dataclass(frozen=True)
class Moment:
    """When something happened.

    Attributes:
        time: Unix time, for people.
        steady: Seconds of the steady clock; None in a record of an older version.
        boot: Which start of the machine that clock counts from; None where the system does not tell.
    """

    time: float
    steady: float | None = None
    boot: str | None = None

    @classmethod
    def now(cls) -> "Moment":
        """The present."""
        return cls(time.time(), time.monotonic(), boot_id())

    @classmethod
    def read(cls, facts: Mapping[str, Any], *, time_key: str = "time") -> "Moment | None":
        """The moment that a JSON record tells; None where it has no usable time."""
        at, steady, boot = facts.get(time_key), facts.get("steady"), facts.get("boot")
        if not is_number(at) or not math.isfinite(at):
            return None
        is_usable = is_number(steady) and math.isfinite(steady)
        return cls(float(at), float(steady) if is_usable else None, boot if isinstance(boot, str) else None)

    def facts(self) -> dict[str, Any]:
        """What goes into a JSON record."""
        return {"time": self.time, "steady": self.steady, "boot": self.boot}

    def age(self) -> float:
        """Seconds since then, never below 0; by the wall clock only where nothing better was recorded."""
        if self.steady is not None and self.boot is not None and self.boot == boot_id():
            return max(time.monotonic() - self.steady, 0.0)
        return max(time.time() - self.time, 0.0)
