"""The folder that holds everything of a user: runs, experiments, presets, data sets."""

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import RunError, printable
from core.runs.files import SLUG, SLUG_LENGTH, cannot_write, is_missing, make_folder
from core.runs.folder import RunFolder, list_runs

ENVIRONMENT_VARIABLE = "ROLLOUT_WORKSPACE"


def default_root() -> Path:
    """``$ROLLOUT_WORKSPACE``, or ``workspace`` in the current folder."""
    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    return Path(named).expanduser() if named else Path("workspace")


@dataclass(frozen=True)
class Workspace:
    """Where things are. Making the object touches nothing on disk.

    Attributes:
        root: Absolute path, links resolved.
    """

    root: Path = field(default_factory=default_root)

    def __post_init__(self) -> None:
        """Resolves the root, so that what lies within it can be told from what does not."""
        object.__setattr__(self, "root", Path(self.root).resolve())

    @property
    def runs_dir(self) -> Path:
        """Single runs."""
        return self.root / "runs"

    @property
    def experiments_dir(self) -> Path:
        """Experiments, each with its arms' run folders."""
        return self.root / "experiments"

    @property
    def presets_dir(self) -> Path:
        """The user's own presets."""
        return self.root / "presets"

    @property
    def datasets_dir(self) -> Path:
        """Uploaded pictures."""
        return self.root / "datasets"

    def check_there(self) -> None:
        """For a page that is open: a workspace that went away, with its disk for example, is not made anew.

        Raises:
            RunError: If there is no such folder.
        """
        if not os.path.isdir(self.root):
            advice = "bring it back, or start the page again to begin a new one"
            raise RunError(f"{self.root} must be there, got nothing at that place; {advice}")

    def check_writable(self) -> None:
        """Makes the workspace and its folders, and tries to write in each.

        Raises:
            RunError: If one cannot be written, or is a link that leads out of the workspace; it names the path and
                what to do.
        """
        for folder in (self.root, self.runs_dir, self.experiments_dir, self.presets_dir, self.datasets_dir):
            self.inside(folder)
            make_folder(folder)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            try:
                probe.write_bytes(b"probe")
            except OSError as error:
                raise cannot_write(folder, error) from error
            finally:
                with contextlib.suppress(OSError):
                    probe.unlink()  # a full disk still takes the name

    def runs(self) -> list[RunFolder]:
        """Single runs, newest first."""
        return list_runs(self.runs_dir)

    def identifier(self, run: RunFolder) -> str:
        """The short name by which ``find`` finds the run: ``NAME``, or ``EXPERIMENT/ARM`` for an arm."""
        parent = run.path.parent
        is_single = os.path.realpath(parent) == os.path.realpath(self.runs_dir)
        return run.name if is_single else f"{parent.name}/{run.name}"

    def find(self, identifier: str) -> RunFolder:
        """The run that a page or a command names. The name is not trusted.

        Args:
            identifier: ``NAME`` of a single run or ``EXPERIMENT/ARM``.

        Raises:
            RunError: If it is no such name, leads out of the workspace, or there is no such run.
        """
        parts = identifier.split("/")
        if len(parts) > 2 or not all(is_slug(part) for part in parts):
            raise RunError(f'run must be a name such as "demo" or "demo-ab/rollout", got "{printable(identifier)}"')
        path = self.inside(self.runs_dir / parts[0] if len(parts) == 1 else self.experiments_dir / parts[0] / parts[1])
        if is_missing(path / "config.json"):
            raise RunError(f'run must be one of those in {self.root}, got "{identifier}"')
        return RunFolder(path)

    def inside(self, path: Path) -> Path:
        """The path with its links resolved, if it lies in the workspace.

        Raises:
            RunError: If it does not.
        """
        real = Path(os.path.realpath(self.root / path))
        if not real.is_relative_to(self.root):
            raise RunError(f"{path} must lie in the workspace {self.root}, got a path that leads out of it")
        return real


def is_slug(name: str) -> bool:
    """Whether a name can be a folder of ours."""
    return len(name) <= SLUG_LENGTH and SLUG.fullmatch(name) is not None


def workspace_of(path: Path) -> Workspace:
    """The workspace that a run folder or an experiment folder belongs to.

    ``WORKSPACE/runs/NAME``, ``WORKSPACE/experiments/NAME`` and ``WORKSPACE/experiments/NAME/ARM`` belong to WORKSPACE;
    a run anywhere else belongs to the folder that it lies in.
    """
    real = Path(path).resolve()
    for parent in (real.parent, real.parent.parent):
        if parent.name in ("runs", "experiments"):
            return Workspace(parent.parent)
    return Workspace(real.parent)
