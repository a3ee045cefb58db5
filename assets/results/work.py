"""Trains and measures cells that have no scores yet. What was done is told by files alone, so a cut costs one cell."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from assets.results.matrix import BASES, Cell
from core.config.flat import difference
from core.config.paths import PROJECT_ROOT
from core.errors import RunError, WorkbenchError
from core.runs.files import make_folder, read_object, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.status import derive_state

PACKAGES = ("torch", "diffusers", "transformers", "peft")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """Where everything of the matrix lies: a workspace a base, and beside its runs the scores.

    Attributes:
        root: the working folder.
        steps: optimizer steps of every training.
        threads: of every training and of the measuring process.
    """

    root: Path
    steps: int
    threads: int = 1

    def run(self, cell: Cell) -> RunFolder:
        """The cell's run folder, there or not."""
        return RunFolder(self.root / cell.base / "runs" / cell.name)

    def pictures(self, cell: Cell) -> Path:
        """Where a few of its samples are kept."""
        return self.root / cell.base / "pictures" / cell.name

    def score_path(self, cell: Cell) -> Path:
        """Its score file, there or not."""
        return self.root / cell.base / "scores" / f"{cell.name}.json"

    def score(self, cell: Cell) -> dict | None:
        """Its scores; None while it has none."""
        return read_object(self.score_path(cell))


def fill(cells: Iterable[Cell], work: Work, train: Callable[[Cell, Work], None],
         measure: Callable[[Cell, Work], dict], say: Say) -> list[str]:  # fmt: skip
    """Trains and measures every cell without scores; one that fails does not keep the others from starting.

    Args:
        cells: in their order.
        work: where.
        train: leaves a finished run in the cell's run folder, or raises a WorkbenchError.
        measure: of a finished run, what its score file holds.
        say: takes a line for people.

    Returns:
        The names of the cells that failed.

    Raises:
        RunError: scores of trainings with another number of steps are there.
    """
    failed = []
    for cell in cells:
        name = f"{cell.base} {cell.name}"
        found = work.score(cell)
        if found is not None:
            _check_steps(found, work, name)
            continue
        say(f"{name}: training")
        try:
            train(cell, work)
            say(f"{name}: measuring")
            make_folder(work.score_path(cell).parent)
            write_whole(work.score_path(cell), to_json(measure(cell, work), indent=1), durable=True)
        except WorkbenchError as error:
            say(f"{name}: failed: {error}")
            failed.append(name)
    return failed


def _check_steps(score: dict, work: Work, name: str) -> None:
    if score.get("steps") != work.steps:
        rule = f"--steps must be {score.get('steps')} as in the scores of {name}, got {work.steps}"
        raise RunError(f"{rule}; choose another --work to begin anew")


def train(cell: Cell, work: Work) -> None:
    """Trains the cell in a process of its own: anew, or on from where an earlier one was cut.

    Raises:
        ConfigError: its configuration cannot be made.
        RunError: a run of another configuration is in its place, or the training did not end well.
    """
    folder, wanted = work.run(cell), cell.config(work.steps)
    if not folder.config_path.is_file():
        command = ["train", BASES[cell.base], "--workspace", str(work.root / cell.base), "--name", cell.name]
        for option, value in cell.options(work.steps).items():
            command += ["--set", f"{option}={value if isinstance(value, str) else json.dumps(value)}"]
    elif changed := difference(folder.config(), wanted):
        raise RunError(f"{folder.path} must be the run that is asked for, but differs in {', '.join(changed)}; move it")
    elif derive_state(folder).label == "done":
        return
    else:
        command = ["resume", str(folder.path)]
    log = work.root / cell.base / "logs" / f"{cell.name}.txt"
    make_folder(log.parent)
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-m", "core", *command], cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": str(work.threads)},
        )  # fmt: skip
    state = derive_state(folder)
    if state.label != "done":
        raise RunError(f"{cell.name} must end as done, got {state.label}: {state.message}; see {log}")


def measure(cell: Cell, work: Work) -> dict:
    """What the cell's score file holds: which cell it is, what the training took, the scores, and on what machine."""
    import torch

    from assets.results.measure import measure as scores_of
    from assets.results.measure import training_facts

    torch.set_num_threads(work.threads)
    folder = work.run(cell)
    return {
        "base": cell.base, "arm": cell.arm.name, "seed": cell.seed, "steps": work.steps,
        "training": training_facts(folder), "scores": scores_of(folder, work.pictures(cell)), "machine": machine(work),
    }  # fmt: skip


def machine(work: Work) -> dict:
    """Cores, threads and versions."""
    versions = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {
        "cores": psutil.cpu_count(), "processor": platform.machine(), "threads": work.threads, "versions": versions,
    }  # fmt: skip
