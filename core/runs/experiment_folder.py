"""The experiment folder: ``experiment.json`` and its arms' run folders, side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import RunError, printable
from core.runs import fields
from core.runs.files import is_missing, is_number, read_lasting, title_text
from core.runs.folder import RunFolder, created_at, folders_with
from core.runs.scores import DEFAULT_SCORE, SCORES
from core.runs.workspace import Workspace, is_slug

FILE_NAME = "experiment.json"


@dataclass(frozen=True)
class ArmRun:
    """An arm that has a run folder.

    Attributes:
        arm: Its name.
        label: What people read.
        changes: The options, by flat name, in which it departs from the experiment's config.
        run: Its run folder.
        seed: The training seed that pairs it with the other arms; None in an experiment of an older version.
    """

    arm: str
    label: str
    changes: dict[str, Any]
    run: RunFolder
    seed: int | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment's folder; making the object touches nothing on disk.

    Attributes:
        path: Absolute path of the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        """Makes the path absolute."""
        object.__setattr__(self, "path", Path(self.path).absolute())

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def file_path(self) -> Path:
        """Name, time and arms; written once."""
        return self.path / FILE_NAME

    @property
    def folder(self) -> RunFolder:
        """The driver's status, journal, log and control files, which lie as those of a run do."""
        return RunFolder(self.path)

    @property
    def title(self) -> str:
        """What the user called it."""
        return title_text(self._facts().get("title")) or self.name

    @property
    def created(self) -> float:
        """When it was made, unix time."""
        return created_at(self.file_path, self.file_path)

    @property
    def primary(self) -> str:
        """The score that was declared before training to give the verdict, a name in ``core.runs.scores.SCORES``."""
        primary = self._facts().get("primary")
        return primary if isinstance(primary, str) and primary in SCORES else DEFAULT_SCORE

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds that pair its arms, in their order; empty in an experiment of an older version."""
        return tuple(dict.fromkeys(arm.seed for arm in self.arms if arm.seed is not None))

    @property
    def arms(self) -> tuple[ArmRun, ...]:
        """Its arms in their order; an entry whose folder does not really lie in the experiment is left out."""
        rows = self._facts().get("arms")
        found = [self._arm(row) for row in rows] if isinstance(rows, list) else []
        return tuple(arm for arm in found if arm is not None)

    def _arm(self, row: Any) -> ArmRun | None:
        if not isinstance(row, dict) or not isinstance(row.get("run"), str) or not is_slug(row["run"]):
            return None
        folder = self.path / row["run"]
        if folder.is_symlink():
            return None
        changes = row.get("changes")
        name = str(row.get("arm", row["run"]))
        changes = changes if isinstance(changes, dict) else {}
        seed = fields.count(row, "seed") if is_number(row.get("seed")) else None
        return ArmRun(name, str(row.get("label", name)), changes, RunFolder(folder), seed)

    def _facts(self) -> dict[str, Any]:
        facts = read_lasting(self.file_path)
        return {} if facts is None else facts


def list_experiments(workspace: Workspace) -> list[Experiment]:
    """The workspace's experiments, newest first; what is none is passed over."""
    found = [Experiment(path) for path in folders_with(workspace.experiments_dir, FILE_NAME)]
    return sorted(found, key=lambda experiment: (experiment.created, experiment.name), reverse=True)


def find_experiment(workspace: Workspace, name: str) -> Experiment:
    """The experiment that a page or a command names. The name is not trusted.

    Raises:
        RunError: If it is no such name, leads out of the workspace, or there is no such experiment.
    """
    if not is_slug(name):
        raise RunError(f'experiment must be a name such as "demo-ab", got "{printable(name)}"')
    path = workspace.inside(workspace.experiments_dir / name)
    if is_missing(path / FILE_NAME):
        raise RunError(f'experiment must be one of those in {workspace.experiments_dir}, got "{name}"')
    return Experiment(path)
