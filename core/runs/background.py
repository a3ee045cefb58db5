"""Starts a process that outlives the one that asked for it, and notes that it occupies the workspace."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.launch import Child, kill_group, launch, reap
from core.runs.liveness import Identity
from core.runs.lock import record_launch


def start_in_background(
    root: Path, name: str, folder: RunFolder, argv: Sequence[str], reaper: Callable[[RunFolder, Child], None] = reap
) -> int:
    """Launches a process for a folder; to be called inside ``core.runs.lock.starting``.

    Args:
        root: The workspace.
        name: What it is, for those who are refused because of it.
        folder: Takes its status, log and control files.
        argv: The command.
        reaper: Waits for the child in a thread and records its end.

    Returns:
        The process's pid.

    Raises:
        RunError: If the program cannot be started, or a file cannot be written; nothing runs then.
    """
    child = launch(folder, argv)
    reaper(folder, child)
    try:
        record_launch(root, name, folder.path, Identity.of(child.pid))
    except RunError:
        kill_group(child)
        raise
    return child.pid
