"""Why a process ended, in sentences that end with the last words of its log."""

from core.runs.folder import RunFolder
from core.runs.liveness import Exit
from core.runs.log import last_words

_KILLED_CODES = (-9, 137)
_DOING = {
    "queued": "before it began",
    "loading": "while it was loading",
    "caching": "while it was encoding the pictures",
    "class_images": "while it was making class images",
    "done": "after it had said that it was done",
}


def cause(folder: RunFolder, exited: Exit, phase: str) -> str:
    """Why a process failed that gave no reason itself.

    Args:
        folder: The run, for its log.
        exited: How it ended.
        phase: What it was doing.
    """
    return with_log(folder, f"the process {exited.words} {_DOING.get(phase, f'while it was {phase}')}")


def with_log(folder: RunFolder, sentence: str) -> str:
    """The sentence, and the last lines of the log."""
    words = last_words(folder.log_path)
    return f"{sentence}; the log ends with:\n{words}" if words else f"{sentence}; its log is empty"


def hint(exited: Exit) -> str | None:
    """What to change after such an end; None when the code tells nothing."""
    if exited.code in _KILLED_CODES:
        return (
            "a system that runs out of memory ends processes so: lower resolution, train_batch_size or rank, "
            "or switch on gradient_checkpointing"
        )
    return None
