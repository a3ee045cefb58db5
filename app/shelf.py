"""What lies in a workspace, found without asking every training: hundreds may lie there, and the page looks often."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from app.entries import Entry, experiment_entry, run_entry
from core.runs.experiment_folder import Experiment, list_experiments
from core.runs.folder import RunFolder
from core.runs.lock import occupants
from core.runs.workspace import Workspace

Training = RunFolder | Experiment


def trainings(workspace: Workspace) -> list[Training]:
    """Single runs and experiments, newest first. No process is asked."""
    found: list[Training] = [*workspace.runs(), *list_experiments(workspace)]
    return sorted(found, key=lambda training: training.created, reverse=True)


def runs(workspace: Workspace) -> Iterator[RunFolder]:
    """Every run and every arm, the newest training's first."""
    for training in trainings(workspace):
        yield from (training,) if isinstance(training, RunFolder) else (arm.run for arm in training.arms)


def entry_of(training: Training) -> Entry:
    """The same with what may be believed of it now."""
    return run_entry(training) if isinstance(training, RunFolder) else experiment_entry(training)


def titles(workspace: Workspace) -> list[tuple[str, str]]:
    """What people read and how it is addressed, of everything there is, newest first. No process is asked.

    Things of one title are told apart by their folders.
    """
    found = []
    for training in trainings(workspace):
        is_run = isinstance(training, RunFolder)
        title = training.title if is_run else f"{training.title} ({counted(training)})"
        found.append((training.created, title, f"{'runs' if is_run else 'experiments'}/{training.name}"))
    alike = Counter(title for _, title, _ in found)
    return [
        (title if alike[title] == 1 else f"{title}: {selection.rpartition('/')[2]}", selection)
        for _, title, selection in sorted(found, reverse=True)
    ]


def counted(experiment: Experiment) -> str:
    """How many arms an experiment has, and over how many training seeds."""
    names = {arm.arm for arm in experiment.arms}
    seeds = len({arm.seed for arm in experiment.arms})
    return f"{len(names)} arms × {seeds} seeds" if seeds > 1 else f"{len(names)} arms"


def active(workspace: Workspace) -> Entry | None:
    """What is training now. While nothing is, and where the start was noted down, no other training is asked."""
    found = occupants(workspace.root)
    if not found:
        return None
    noted = [training for one in found if (training := _training_at(workspace, one.folder)) is not None]
    known = next((entry for entry in map(entry_of, noted) if _goes_on(entry)), None)
    if known is not None or all(one.folder is not None for one in found):
        return known
    return next((entry for entry in map(entry_of, _latest_first(workspace)) if _goes_on(entry)), None)


def _goes_on(entry: Entry) -> bool:
    return not entry.final and entry.label != "queued"


def _training_at(workspace: Workspace, folder: Path | None) -> Training | None:
    """The run or the experiment that a process was launched for; None where it was for something else."""
    if folder is None:
        return None
    real = Path(os.path.realpath(folder))
    if real.parent == workspace.runs_dir:
        return RunFolder(real)
    return Experiment(real) if real.parent == workspace.experiments_dir else None


def _latest_first(workspace: Workspace) -> Iterator[Training]:
    """Trainings by the latest sign of life: one that goes on gives them every second."""

    def moment(training: Training) -> float:
        folders = [training] if isinstance(training, RunFolder) else [training.folder, *(a.run for a in training.arms)]
        return max(_changed(folder.status_path) for folder in folders)

    return iter(sorted(trainings(workspace), key=moment, reverse=True))


def _changed(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
