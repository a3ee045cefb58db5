"""Records of runs, read as they grow and shared by all open pages."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

from core.runs.journal import Tail
from core.runs.drift import DriftRecord
from core.runs.records import Record, StepRecord, records_from

R = TypeVar("R", bound=Record)


class Journals:
    """Each journal is read once, and afterwards only what was appended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[tuple[Path, type], tuple[Tail, list]] = {}

    def steps(self, path: Path) -> list[StepRecord]:
        """The records of a ``metrics.jsonl``."""
        return self._records(StepRecord, path)

    def drift(self, path: Path) -> list[DriftRecord]:
        """The records of a ``drift.jsonl``."""
        return self._records(DriftRecord, path)

    def _records(self, kind: type[R], path: Path) -> list[R]:
        with self._lock:
            tail, known = self._read.setdefault((path, kind), (Tail(path), []))
            fresh = tail.read()
            if tail.restarted:
                known.clear()
            known.extend(records_from(kind, fresh))
            return list(known)


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
