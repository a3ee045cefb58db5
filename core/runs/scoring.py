"""Scoring finished runs in a process of its own, which outlives the page that asked for it. Imports no torch."""

import sys
from collections.abc import Sequence
from pathlib import Path

from core.runs.background import start_in_background
from core.runs.files import is_missing, make_folder
from core.runs.folder import RunFolder
from core.runs.lock import starting
from core.runs.process import GRACE_SECONDS, followed_state, stop_run
from core.runs.status import State
from core.runs.workspace import Workspace


def scoring_folder(path: Path) -> RunFolder:
    """Status, log and control files of the scoring of an experiment or a run, there or not."""
    return RunFolder(path / "scoring")


def start_scoring(workspace: Workspace, path: Path, *, command: Sequence[str] | None = None) -> RunFolder:
    """Starts ``python -m core score`` in the background; what was scored before is kept.

    Args:
        workspace: In which nothing else may be in progress.
        path: Of the experiment or the run.
        command: Another program.

    Returns:
        The folder of its status; poll ``scoring_state``.

    Raises:
        RunError: If something is in progress, or something cannot be written or started.
    """
    folder = scoring_folder(path)
    with starting(workspace.root):
        make_folder(folder.path)
        folder.log_path.unlink(missing_ok=True)  # an older error must not be taken for this one's
        argv = [sys.executable, "-m", "core", "score", str(path), "--workspace", str(workspace.root)]
        start_in_background(workspace.root, "a scoring", folder, argv if command is None else command)
    return folder


def scoring_state(path: Path) -> State | None:
    """What may be believed of a scoring's process; sends the signal that is due after a stop request.

    None where nothing was ever scored so.
    """
    folder = scoring_folder(path)
    if is_missing(folder.status_path):
        return None
    return followed_state(folder)


def stop_scoring(path: Path, grace: float = GRACE_SECONDS) -> State:
    """Asks it to stop; what was measured stays. Poll ``scoring_state`` until it is final.

    Raises:
        RunError: If the control file cannot be written.
    """
    return stop_run(scoring_folder(path), grace)
