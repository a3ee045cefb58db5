"""Records of runs, read as they grow and shared by all open pages."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.evaluation.run_scores import RunScores, View, read_scores
from core.runs.drift import DriftRecord
from core.runs.experiment_folder import ArmRun
from core.runs.journal import Tail
from core.runs.records import Event, Record, StepRecord, records_from

R = TypeVar("R", bound=Record)
T = TypeVar("T")
KEPT = 200


@dataclass
class _Known:
    """What was read of one journal; its lock lets a long first reading of one not hold up the others."""

    tail: Tail
    records: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Journals:
    """Each journal is read once, then only what was appended; what was made of them is kept until they change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[tuple[Path, type], _Known] = {}
        self._made: OrderedDict[Hashable, tuple[str, object]] = OrderedDict()

    def kept(self, key: Hashable, signature: str, make: Callable[[], T]) -> T:
        """What was made under a key, made anew when the signature is another than then."""
        with self._lock:
            known = self._made.get(key)
            if known is not None and known[0] == signature:
                self._made.move_to_end(key)
                return known[1]  # type: ignore[return-value]
        made = make()
        with self._lock:
            self._made[key] = (signature, made)
            self._made.move_to_end(key)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return made

    def scores(self, runs: Sequence[ArmRun], view: View, signature: str) -> tuple[RunScores, ...]:
        """What the runs scored; ``signature`` changes whenever their records do."""
        key = ("scores", view, *(run.run.path for run in runs))
        return self.kept(key, signature, lambda: read_scores(runs, view=view))

    def steps(self, path: Path) -> list[StepRecord]:
        """The records of a ``metrics.jsonl``."""
        return self._records(StepRecord, path)

    def drift(self, path: Path) -> list[DriftRecord]:
        """The records of a ``drift.jsonl``."""
        return self._records(DriftRecord, path)

    def events(self, path: Path) -> list[Event]:
        """The records of an ``events.jsonl``."""
        return self._records(Event, path)

    def _records(self, kind: type[R], path: Path) -> list[R]:
        with self._lock:
            known = self._read.setdefault((path, kind), _Known(Tail(path)))
        with known.lock:
            fresh = known.tail.read()
            if known.tail.restarted:
                known.records.clear()
            known.records.extend(records_from(kind, fresh))
            return list(known.records)


def file_signature(*paths: Path) -> str:
    """A short text that changes when one of the files or folders does; a missing one counts as unchanged."""
    parts = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            parts.append("-")
        else:
            parts.append(f"{facts.st_mtime_ns:x}.{facts.st_size:x}")
    return "|".join(parts)
