"""What can be exported, and what became of an export: words, sizes, and the file to take along."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.html import Level, checklist, escape, paragraph, progress, table
from app.view import ago
from core.config.run import RunConfig
from core.errors import ConfigError, RunError, WorkbenchError
from core.export.formats import FORMATS, format_problem
from core.regular import size_text
from core.runs.exported import (
    FILE_NAME,
    Exported,
    export_folder,
    export_path,
    export_state,
    read_exported,
    start_export,
)
from core.runs.folder import RunFolder
from core.runs.status import State
from core.runs.workspace import Workspace


@dataclass(frozen=True)
class Shown:
    """An export as the page shows it.

    Attributes:
        path: Its folder, there or not.
        process: Status and log of what makes it.
        state: Of that process; None where none was ever started.
        found: What was exported last; None where nothing was.
    """

    path: Path
    process: RunFolder
    state: State | None
    found: Exported | None

    @property
    def live(self) -> bool:
        """Whether it is being made."""
        return self.state is not None and self.state.live

    @property
    def packed(self) -> Path | None:
        """The file that holds this very export; None where there is none, or one of an earlier export."""
        path = self.path.with_name(f"{self.path.name}.zip")
        try:
            newer = os.stat(path).st_mtime_ns >= os.stat(self.path / FILE_NAME).st_mtime_ns
        except OSError:
            return None
        return path if newer and self.found is not None else None


def look(workspace: Workspace, run: str | None, format: str | None) -> Shown | None:
    """The export of a run in a format; None where nothing such can be. Neither name is trusted."""
    if not run or format is None or format not in FORMATS:
        return None
    try:
        folder = workspace.find(run)
    except RunError:
        return None
    process, path = export_folder(folder, format), export_path(workspace, run, format)
    return Shown(path, process, export_state(process), read_exported(path))


def begin(workspace: Workspace, run: str | None, format: str | None) -> None:
    """Starts an export in the background.

    Raises:
        WorkbenchError: There is no such run or format, its family cannot have it, or something else is in progress.
    """
    workspace.check_there()
    if not run:
        raise RunError("run must be one that is trained, got none; train one first")
    folder = workspace.find(run)
    problem = format_problem(str(format), folder.config().model.family)
    if problem is not None:
        raise ConfigError([problem])
    start_export(workspace, folder, str(format))


def config_of(workspace: Workspace, run: str | None) -> RunConfig | None:
    """The config of a run; None where it cannot be read."""
    try:
        return workspace.find(run).config() if run else None
    except WorkbenchError:
        return None


def state_html(shown: Shown) -> str:
    """Progress with an end, or how it ended; nothing for one that is done."""
    state = shown.state
    if state is None or state.label == "done":
        return ""
    if not state.final:
        words = f"Exporting: {state.message} ({state.status.progress:.0%})".replace("%", " %")
        return f'<div role="status">{paragraph(words)}{progress(state.status.progress, words)}</div>'
    hint = f"<p><strong>What to do:</strong> {escape(state.hint)}</p>" if state.hint else ""
    cause = f"<strong>The export {escape(state.label)}</strong><pre>{escape(state.message)}</pre>"
    return f'<div class="rw-problems" role="alert">{cause}{hint}</div>'


def result_html(shown: Shown) -> str:
    """What was measured, and what is in the folder."""
    found = shown.found
    if found is None:
        return ""
    checks: list[tuple[Level, str, str]] = [
        ("pass" if each.holds else "fail", "Read back", f"{each.text}.") for each in found.measured
    ]
    where: tuple[Level, str, str] = ("pass", "Exported", f"{ago(found.created)}, in {shown.path}")
    rows = [[name, size_text(size)] for name, size in found.files.items()]
    return checklist([where, *checks]) + table(["File", "Size"], rows, "What is in the folder")
