"""What can be inspected, how an inspection is begun, watched and found again, and uploads of LoRA files."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

from app.datasets import free_file
from app.shared import once
from app.view import ago
from app.workbench import Workbench
from core.config.run import RunConfig
from core.errors import DataError, Problem, RunError, WorkbenchError, reason_of
from core.models.lora_path import DIFFUSERS_FILE, PEFT_FILE, SUFFIX
from core.runs.experiment import list_experiments
from core.runs.folder import RunFolder
from core.runs.inspections import (
    FILE_NAME,
    inspection_folders,
    read_inspection,
    request_of,
    start_inspection,
)
from core.runs.measurement import latest_measurement
from core.runs.status import read_status
from core.runs.workspace import Workspace

UPLOAD_LIMIT = 512 * 2**20
"""Bytes of a LoRA file; those of large models have some hundred MB."""
HEADER_LIMIT = 16 * 2**20
LOADING = 8.0
"""Seconds until libraries and base model are there."""
PAIRS, BATCH, MOST_TARGETS, FORWARDS_EACH = 32, 8, 10, 7
"""What `core.evaluation` measures: pairs, samples at once, timesteps that short paths end at, forwards for each."""
LONGEST = 86400.0
"""Seconds beyond which an inspection's times are not believed."""


def inspectable(workspace: Workspace) -> list[tuple[str, str]]:
    """Title and name of every training that has a LoRA, newest first."""
    found = [(run.created, run.title, run) for run in workspace.runs()]
    for experiment in list_experiments(workspace):
        found += [(experiment.created, f"{experiment.title}: {arm.run.name}", arm.run) for arm in experiment.arms]
    found.sort(key=lambda each: each[0], reverse=True)
    done = [(title, run) for _, title, run in found if os.path.isfile(run.adapter_dir / DIFFUSERS_FILE)]
    return [(title, workspace.identifier(run)) for title, run in done]


def begin(workbench: Workbench, what: str, run: str | None, path: str | None, config: RunConfig | None) -> str:
    """Starts an inspection in the background; returns how the page addresses it.

    Args:
        workbench: Of the page.
        what: ``run``, ``file`` or ``base``.
        run: Name of a run.
        path: Of a LoRA file.
        config: Of the form: lends base model, pictures and prompts to a file or a base.

    Raises:
        WorkbenchError: If nothing such is there, something else is in progress, or it cannot be started.
    """
    workspace = workbench.workspace
    workspace.check_there()
    if what == "run":
        if not run:
            raise RunError("run must be one that is trained, got none; train one first or choose another thing")
        return key_of(workspace, start_inspection(workspace, "run", workspace.find(run)))
    if what == "base":
        return key_of(workspace, start_inspection(workspace, "base", "base", config))
    if not path or not path.strip():
        raise RunError(f"file must be a LoRA ({SUFFIX}), got none; type its path or upload it")
    typed = os.path.abspath(os.path.expanduser(path.strip()))
    for place in (typed, *(os.path.join(typed, name) for name in (DIFFUSERS_FILE, PEFT_FILE))):
        problem = workbench.paths.problem("file", place)
        if problem is not None:
            raise DataError([problem])
    return key_of(workspace, start_inspection(workspace, "file", typed, config))


def key_of(workspace: Workspace, folder: RunFolder) -> str:
    """How the page addresses an inspection: its folder within the workspace."""
    return folder.path.relative_to(workspace.root).as_posix()


def listed(workspace: Workspace) -> list[tuple[str, str]]:
    """Title and key of every inspection, newest first."""
    return [(title_of(folder), key_of(workspace, folder)) for folder in _folders(workspace)]


def _folders(workspace: Workspace) -> list[RunFolder]:
    return once(("inspections", workspace.root), lambda: inspection_folders(workspace))


def find(workspace: Workspace, key: object) -> RunFolder | None:
    """The inspection of a key; the key is not trusted."""
    return next((folder for folder in _folders(workspace) if key_of(workspace, folder) == key), None)


def title_of(folder: RunFolder) -> str:
    """What was inspected and when it was asked for."""
    asked = request_of(folder)
    what, target = asked if asked is not None else ("file", folder.name)
    name = {"run": target, "base": f"base model ({folder.name})", "file": f"{Path(target).name} ({folder.name})"}[what]
    try:
        moment = (folder.path / FILE_NAME).stat().st_mtime
    except OSError:
        return f"{name}, not finished"
    return f"{name}, {ago(moment)}"


def usual_seconds(workspace: Workspace, what: str) -> float | None:
    """What an inspection takes: as long as the latest of such a thing, else by the latest measurement of a training.

    None where neither is known.
    """
    for folder in _folders(workspace):
        asked = request_of(folder)
        if asked is None or (asked[0] == "base") != (what == "base"):
            continue
        try:
            found = read_inspection(folder)
        except WorkbenchError:
            continue
        taken = found.created - read_status(folder).started
        if found.strips and 0 < taken < LONGEST:
            return taken
    return _forecast(workspace, 1 if what == "base" else 2)


def _forecast(workspace: Workspace, models: int) -> float | None:
    """Loading, and for each model short paths, one free-running chain, finished samples and film strips."""
    measured = latest_measurement(workspace.root)
    if measured is None:
        return None
    points, times = len(measured.facts.grid), measured.calibration
    short = FORWARDS_EACH * min(MOST_TARGETS, points // 2)
    pairs = (short + points) * (times.forward_call + times.forward_item * PAIRS)
    rest = 4 * points * (times.forward_call + times.forward_item * BATCH)
    return LOADING + models * (pairs + rest)


def keep_upload(workspace: Workspace, source: Path) -> Path:
    """Copies an uploaded LoRA into the workspace; what is in it is left to the audit.

    Raises:
        DataError: If it is no safetensors file, or too large.
        RunError: If it cannot be written.
    """
    if source.suffix.lower() != SUFFIX or not _has_header(source):
        raise _refused(source, f"be a {SUFFIX} file, got another kind; a pickle can run code when it is opened")
    size = source.stat().st_size
    if size > UPLOAD_LIMIT:
        raise _refused(source, f"be {UPLOAD_LIMIT // 2**20} MB or less, got {size // 2**20} MB; type its path instead")
    folder = workspace.inside(Path("uploads"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = free_file(folder, source)
        shutil.copyfile(source, kept)
    except OSError as error:
        raise RunError(f"{folder} must be writable, got an error: {reason_of(error)}") from error
    return kept


def _refused(source: Path, rule: str) -> DataError:
    return DataError([Problem(source.name, f"{source.name} must {rule}")])


def _has_header(path: Path) -> bool:
    """Whether a file begins as safetensors does: the length of a JSON object, then that object."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            return length <= HEADER_LIMIT and isinstance(json.loads(file.read(length)), dict)
    except (OSError, ValueError, struct.error, RecursionError):
        return False
