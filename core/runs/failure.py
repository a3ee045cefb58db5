"""The word of a process that is not the main one of its training, and that failed: the main one may never learn why."""

from dataclasses import dataclass

from core.runs.files import read_object, to_json, write_whole
from core.runs.folder import RunFolder


@dataclass(frozen=True)
class Failure:
    """Why a process failed.

    Attributes:
        error: A sentence.
        hint: What to change; None where nothing is known.
    """

    error: str
    hint: str | None


def write_failure(folder: RunFolder, process: int, error: str, hint: str | None) -> None:
    """Leaves word; the first of several processes that fail is heard.

    Raises:
        RunError: If it cannot be written.
    """
    if read_failure(folder) is None:
        write_whole(folder.failure_path, to_json({"process": process, "error": error, "hint": hint}), durable=True)


def read_failure(folder: RunFolder) -> Failure | None:
    """What another process left; None where none failed."""
    facts = read_object(folder.failure_path)
    if facts is None or not isinstance(facts.get("error"), str):
        return None
    hint = facts.get("hint")
    return Failure(f"process {facts.get('process')} failed: {facts['error']}", hint if isinstance(hint, str) else None)
