"""What ended a run, as one sentence: out of memory and a disk that takes nothing are told as what they are."""

from pathlib import Path

from core.errors import RunError, WorkbenchError
from core.runs.files import cannot_write
from core.runs.remedies import remedy_for
from core.shortage import is_out_of_memory, is_out_of_room
from core.training.others import PATIENCE, lost_contact

LENGTH = 300
"""Characters of a library's own words that a sentence quotes."""


def told(error: BaseException, log: Path) -> WorkbenchError | None:
    """The error in the workbench's own words, where it is recognised; None for any other.

    Args:
        error: what ended the run.
        log: where the process prints, for an error that names no file: nothing else is written without a name.
    """
    if isinstance(error, WorkbenchError):
        return error
    if isinstance(error, OSError) and is_out_of_room(error):
        return cannot_write(log if error.filename is None else Path(str(error.filename)), error)
    if lost_contact(error):
        hours = PATIENCE.total_seconds() / 3600
        rule = f"the processes of a training must hear of each other within {hours:g} h, but one is gone or silent"
        return RunError(f"{rule} ({_words(error)})")
    if is_out_of_memory(error):
        return RunError(f"the training must fit into memory, but this machine is out of memory ({_words(error)})")
    return None


def hint_for(error: BaseException) -> str | None:
    """What to change, for the failures that are recognised."""
    known = remedy_for(f"{type(error).__name__} {error}")
    return None if known is None else known.hint


def _words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:LENGTH] if lines else type(error).__name__
