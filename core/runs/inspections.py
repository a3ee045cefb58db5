"""Inspections: where they lie, what was asked for, and the process that does one. Imports no torch.

A run's lies in ``RUN/inspection/``, the others in ``WORKSPACE/inspections/NAME/``. The folder holds ``request.json``
(what was asked for, first), ``status.json`` and ``log.txt`` of the process, ``pictures/``, ``drift.jsonl``, and
``inspection.json``, which is written last: a folder without it is one that is not finished.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from core.config.run import RunConfig
from core.config.saved import save_config
from core.errors import RunError
from core.models.lora_path import DIFFUSERS_FILE, PEFT_FILE, lora_path
from core.runs import fields
from core.runs.background import start_in_background
from core.runs.experiment_folder import Experiment, list_experiments
from core.runs.files import cannot_write, is_missing, make_folder, new_folder, read_lasting, to_json, write_whole
from core.runs.folder import RunFolder, folders_with
from core.runs.inspection import FILE_NAME, Inspection, PathName, Strip, What, Which, pictures_dir, read_inspection
from core.runs.lock import starting
from core.runs.process import GRACE_SECONDS, followed_state, stop_run
from core.runs.status import State, live_process
from core.runs.workspace import Workspace

__all__ = [
    "FILE_NAME",
    "Inspection",
    "PathName",
    "Strip",
    "What",
    "Which",
    "begin_inspection",
    "inspection_folder",
    "inspection_folders",
    "inspection_state",
    "inspections_dir",
    "list_inspections",
    "name_of_file",
    "new_inspection",
    "pictures_dir",
    "read_inspection",
    "request_of",
    "start_inspection",
    "stop_inspection",
]

REQUEST = "request.json"
RUN_FILE = "config.json"


def inspections_dir(workspace: Workspace) -> Path:
    """Where the inspections of files and base models lie."""
    return workspace.root / "inspections"


def inspection_folder(run: RunFolder) -> RunFolder:
    """Where a run's inspection lies, there or not."""
    return RunFolder(run.path / "inspection")


def new_inspection(workspace: Workspace, name: str) -> RunFolder:
    """Makes an empty folder for the inspection of a file or a base model; its name is a slug.

    Raises:
        RunError: If it cannot be made.
    """
    return RunFolder(new_folder(inspections_dir(workspace), name))


def begin_inspection(folder: RunFolder, what: What, target: str) -> None:
    """Says what is asked for, and takes away the results of an earlier inspection.

    Raises:
        RunError: If the folder holds other things, another process works in it, or it cannot be written.
    """
    known = folder.path / REQUEST
    if os.path.isdir(folder.path) and not os.path.isfile(known) and any(folder.path.iterdir()):
        raise RunError(f"--out must be a new or empty folder, got {folder.path}, which holds other things")
    live = live_process(folder)
    if live is not None and live.pid != os.getpid():
        raise RunError(f"{folder.path} must be an inspection that is not in progress; wait for it or stop it")
    make_folder(folder.path)
    for path in (folder.path / FILE_NAME, folder.drift_path):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
    write_whole(known, to_json({"what": what, "target": target, "created": time.time()}))


def inspection_folders(workspace: Workspace) -> list[RunFolder]:
    """All inspections of a workspace, finished or not, newest first."""
    runs = [*workspace.runs(), *(run for found in list_experiments(workspace) for run in _runs_of(found))]
    own = [folder for folder in map(inspection_folder, runs) if not is_missing(folder.path / REQUEST)]
    others = [RunFolder(path) for path in folders_with(inspections_dir(workspace), REQUEST)]
    found = [*others, *(folder for folder in own if not os.path.islink(folder.path))]
    return sorted(found, key=lambda folder: (_asked(folder), folder.name), reverse=True)


def _runs_of(experiment: Experiment) -> list[RunFolder]:
    """Its arms; where its file cannot be read, whatever lies in it."""
    arms = experiment.arms
    return [arm.run for arm in arms] if arms else [RunFolder(path) for path in folders_with(experiment.path, RUN_FILE)]


def list_inspections(workspace: Workspace) -> tuple[list[Inspection], list[str]]:
    """The finished inspections of a workspace, newest first, and a sentence for each that cannot be read."""
    found, problems = [], []
    for folder in inspection_folders(workspace):
        if not is_missing(folder.path / FILE_NAME):
            try:
                found.append(read_inspection(folder))
            except RunError as error:
                problems.append(str(error))
    return found, problems


def request_of(folder: RunFolder) -> tuple[What, str] | None:
    """What was asked for, a run, a file or a base, and which; None where that cannot be read."""
    data = read_lasting(folder.path / REQUEST)
    if data is None or data.get("what") not in get_args(What):
        return None
    return cast("What", data["what"]), str(data.get("target"))


def _asked(folder: RunFolder) -> float:
    data = read_lasting(folder.path / REQUEST)
    return 0.0 if data is None else fields.number(data, "created", 0.0)


def name_of_file(path: Path) -> str:
    """What a LoRA file is called: its folder's name where its own is the one that every such file has."""
    return path.absolute().parent.name if path.name in (DIFFUSERS_FILE, PEFT_FILE) else path.stem


def start_inspection(
    workspace: Workspace, what: What, target: str | RunFolder, config: RunConfig | None = None, *,
    command: Sequence[str] | None = None,
) -> RunFolder:  # fmt: skip
    """Starts ``python -m core inspect`` in the background.

    Args:
        workspace: Where the folder of a file's or a base model's inspection is made.
        what: ``run``, ``file`` or ``base``.
        target: The run, or the LoRA's path; unused for a base.
        config: What lends base model, pictures and prompts to a file or a base; unused for a run.
        command: Another program.

    Returns:
        The inspection's folder; poll ``inspection_state``.

    Raises:
        DataError: If the path is no safetensors file.
        RunError: If a training or another inspection is in progress, or something cannot be written or started.
    """
    with starting(workspace.root):
        folder, words = _asked_for(workspace, what, target, config)
        folder.log_path.unlink(missing_ok=True)  # an older error must not be taken for this one's
        argv = [sys.executable, "-m", "core", "inspect", *words, "--out", str(folder.path)]
        argv += ["--workspace", str(workspace.root)]
        start_in_background(workspace.root, "an inspection", folder, argv if command is None else command)
    return folder


def _asked_for(
    workspace: Workspace, what: What, target: str | RunFolder, config: RunConfig | None
) -> tuple[RunFolder, list[str]]:
    """The folder of an inspection that begins, and what to type for it."""
    if isinstance(target, RunFolder):
        folder = inspection_folder(target)
        begin_inspection(folder, "run", workspace.identifier(target))
        return folder, [str(target.path)]
    if config is None:
        raise RunError(f"config must be given for the inspection of a {what}, got none")
    path = None if what == "base" else checked_lora(target)
    name = f"base {Path(config.model.pretrained_model_name_or_path).name}" if path is None else name_of_file(path)
    folder = new_inspection(workspace, name)
    words = "base" if path is None else str(path)
    begin_inspection(folder, what, words)
    save_config(config, folder.config_path)
    return folder, [words, "--preset", str(folder.config_path)]


def checked_lora(text: str) -> Path:
    """The absolute path of a safetensors file that somebody typed.

    Raises:
        DataError: If there is no such file, or it is of another sort.
    """
    return lora_path(Path(text.strip()).expanduser().absolute())


def inspection_state(folder: RunFolder) -> State:
    """What may be believed of an inspection's process; sends the signal that is due after a stop request."""
    return followed_state(folder)


def stop_inspection(folder: RunFolder, grace: float = GRACE_SECONDS) -> State:
    """Asks an inspection to stop; poll ``inspection_state`` until it is final.

    Raises:
        RunError: If the control file cannot be written.
    """
    return stop_run(folder, grace)
