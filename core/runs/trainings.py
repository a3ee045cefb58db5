"""A run or an experiment, whichever it is: what can be started, waited for and stopped as one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import RunError
from core.runs.experiment import advance_experiment_stop, start_experiment
from core.runs.experiment_folder import FILE_NAME, Experiment, find_experiment
from core.runs.folder import RunFolder
from core.runs.process import advance_stop, start_run, stop_requested
from core.runs.status import FINAL_LABELS, Label, derive_state, read_status
from core.runs.workspace import Workspace, is_slug

RUNS, EXPERIMENTS = "runs", "experiments"


@dataclass(frozen=True)
class Training:
    """A run, or an experiment with all of its arms.

    Attributes:
        selection: How it is addressed: ``runs/NAME`` or ``experiments/NAME``.
        folder: The run's folder, or the experiment's own with the driver's files.
        experiment: The experiment, None for a run.
    """

    selection: str
    folder: RunFolder
    experiment: Experiment | None

    @property
    def name(self) -> str:
        """What it is called in a sentence, as whoever is refused because of it reads it too."""
        return f'{"run" if self.experiment is None else "experiment"} "{self.folder.name}"'

    @property
    def title(self) -> str:
        """What the user called it."""
        return self.folder.title if self.experiment is None else self.experiment.title

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        """What is trained, one after another."""
        return (self.folder,) if self.experiment is None else tuple(arm.run for arm in self.experiment.arms)

    def label(self) -> Label:
        """Its state in one word; sends the signal that is due after a stop request.

        Of an experiment whose driver runs the arms are not looked at: there may be hundreds.
        """
        try:
            return self._advanced()
        except RunError:  # a full disk takes no note of a signal: tried again at the next look
            return derive_state(self.folder).label

    def _advanced(self) -> Label:
        state = advance_stop(self.folder)
        if self.experiment is None or (state.live and not stop_requested(self.folder)):
            return state.label
        return advance_experiment_stop(self.experiment).label

    def start(self, command: Sequence[str] | None = None) -> None:
        """Starts it in the background, or goes on where it was left.

        Args:
            command: Another program than the usual one.

        Raises:
            RunError: If a training is in progress, there is nothing left to train, or something cannot be written or
                started.
        """
        if self.experiment is not None:
            start_experiment(self.experiment, command=command)
        else:
            verb = "run" if derive_state(self.folder).label == "queued" else "resume"
            start_run(self.folder, verb=verb, command=command)

    def progress(self) -> int:
        """How much of it is safe: steps up to the newest checkpoints, and one for each run that is done."""
        return sum(_newest_checkpoint(run) + (read_status(run).phase == "done") for run in self.runs)


def find_training(workspace: Workspace, selection: str) -> Training:
    """The training that a page or a command names. The name is not trusted.

    Args:
        workspace: Where it lies.
        selection: ``runs/NAME`` or ``experiments/NAME``.

    Raises:
        RunError: If it is no such name, or there is no such training.
    """
    kind, _, name = selection.partition("/")
    if kind == RUNS and is_slug(name):
        return Training(selection, workspace.find(name), None)
    if kind == EXPERIMENTS and is_slug(name):
        experiment = find_experiment(workspace, name)
        return Training(selection, experiment.folder, experiment)
    raise RunError(f'training must be a name such as "runs/demo" or "experiments/demo-ab", got "{selection}"')


def selection_of(workspace: Workspace, typed: str) -> str:
    """How the training is addressed that somebody typed: its name, with or without its kind, or its folder.

    Raises:
        RunError: If there is none, the name is a run's as well as an experiment's, or it lies in no workspace.
    """
    if typed.partition("/")[0] in (RUNS, EXPERIMENTS):
        return find_training(workspace, typed).selection
    path = Path(typed)
    if os.path.isfile(path / "config.json") or os.path.isfile(path / FILE_NAME):  # False for what no file can be called
        parts = path.resolve().parts[-2:]
        if path.resolve().parent in (workspace.runs_dir, workspace.experiments_dir):
            return find_training(workspace, "/".join(parts)).selection
        raise RunError(f"training must lie in the workspace {workspace.root}, got {typed}; name its --workspace")
    found = [
        f"{folder.name}/{typed}"
        for folder, file in ((workspace.runs_dir, "config.json"), (workspace.experiments_dir, FILE_NAME))
        if is_slug(typed) and (folder / typed / file).is_file()
    ]
    if len(found) > 1:
        raise RunError(f'training must be one of {" and ".join(found)}, got "{typed}"; say which')
    if not found:
        raise RunError(f'training must be a run or an experiment of {workspace.root}, got "{typed}"')
    return found[0]


def never_started(workspace: Workspace) -> list[str]:
    """Trainings that were made and not begun, as they are addressed, oldest first."""
    found = []
    for folder, file in ((workspace.runs_dir, "config.json"), (workspace.experiments_dir, FILE_NAME)):
        names = os.listdir(folder) if folder.is_dir() else []
        for name in names:
            path = f"{folder}/{name}"  # no Path: a page asks this of hundreds every few seconds
            if not os.path.exists(f"{path}/status.json") and is_slug(name) and os.path.isfile(f"{path}/{file}"):
                with suppress(FileNotFoundError):  # deleted since
                    found.append((os.stat(path).st_mtime, f"{folder.name}/{name}"))
    return [selection for _, selection in sorted(found)]


def is_under_way(label: Label) -> bool:
    """Whether a process works at it, or waits for its turn within it."""
    return label != "queued" and label not in FINAL_LABELS


def _newest_checkpoint(run: RunFolder) -> int:
    names = [path.name.removeprefix("step-") for path in run.checkpoints_dir.glob("step-*")]
    return max((int(name) for name in names if name.isdigit()), default=0)
