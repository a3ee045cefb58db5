"""The run folder: the only truth about a run. Where each of its files is, how it is made, how runs are listed."""

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.config.saved import load_config, save_config
from core.errors import RunError
from core.runs.files import (
    cannot_write,
    is_missing,
    is_number,
    new_folder,
    read_lasting,
    title_text,
    to_json,
    write_whole,
)

END_OF_TIME = 2.0**40
"""Seconds; no run is made after that, and no calendar goes so far."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder; making the object touches nothing on disk.

    Attributes:
        path: Absolute path of the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        """Makes the path absolute, so that it means the same in a child process with another working folder."""
        object.__setattr__(self, "path", Path(self.path).absolute())

    @classmethod
    def create(
        cls, runs_dir: Path, name: str, config: RunConfig, *, imported: Mapping[str, Any] | None = None, **meta: Any
    ) -> "RunFolder":
        """Makes a new run folder and freezes its config.

        Args:
            runs_dir: Where runs lie; made when missing.
            name: What the user calls it; the folder gets its slug, with -2, -3 … where that is taken.
            config: Written once; a run's config never changes.
            imported: What was kept of an imported file, frozen beside the config; no trainer reads it.
            **meta: Facts for ``run.json`` beside ``title`` and ``created``, for example ``arm`` or ``preset``.

        Raises:
            RunError: If the folder cannot be written or the name holds nothing usable. Nothing is left behind then.
        """
        folder = cls(new_folder(Path(runs_dir).absolute(), name))
        try:
            folder.samples_dir.mkdir()
            folder.checkpoints_dir.mkdir()
            facts = {"title": title_text(name), "created": time.time(), **meta}
            write_whole(folder.meta_path, to_json(facts, indent=2), durable=True)
            if config.training.accelerate_config_path is not None:
                shutil.copyfile(resolve_path(config.training.accelerate_config_path), folder.accelerate_path)
            save_config(config, folder.config_path, imported)
        except OSError as error:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise cannot_write(folder.path, error) from error
        except RunError:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """The frozen config."""
        return self.path / "config.json"

    @property
    def meta_path(self) -> Path:
        """Facts about the run that are no options: title, created, arm."""
        return self.path / "run.json"

    @property
    def manifest_path(self) -> Path:
        """Which pictures it is trained on, by content."""
        return self.path / "manifest.json"

    @property
    def status_path(self) -> Path:
        """Phase, step and heartbeat; replaced whole."""
        return self.path / "status.json"

    @property
    def metrics_path(self) -> Path:
        """Journal of StepRecords."""
        return self.path / "metrics.jsonl"

    @property
    def drift_path(self) -> Path:
        """Journal of DriftRecords."""
        return self.path / "drift.jsonl"

    @property
    def events_path(self) -> Path:
        """Journal of Events."""
        return self.path / "events.jsonl"

    @property
    def log_path(self) -> Path:
        """What the process printed."""
        return self.path / "log.txt"

    @property
    def env_path(self) -> Path:
        """Versions and machine."""
        return self.path / "env.json"

    @property
    def samples_dir(self) -> Path:
        """Pictures, ``step-000500/p00-s42.png``."""
        return self.path / "samples"

    @property
    def checkpoints_dir(self) -> Path:
        """Checkpoints, ``step-000500/``."""
        return self.path / "checkpoints"

    @property
    def adapter_dir(self) -> Path:
        """The final LoRA."""
        return self.path / "adapter"

    @property
    def logs_dir(self) -> Path:
        """The files of a tracker, where the run has one."""
        return self.path / "logs"

    @property
    def process_path(self) -> Path:
        """Which process was launched for it."""
        return self.path / "process.json"

    @property
    def exit_path(self) -> Path:
        """How that process ended."""
        return self.path / "exit.json"

    @property
    def failure_path(self) -> Path:
        """Why another process than the main one failed."""
        return self.path / "failure.json"

    @property
    def accelerate_path(self) -> Path:
        """The frozen copy of accelerate's configuration, where the run has one."""
        return self.path / "accelerate.yaml"

    @property
    def stop_path(self) -> Path:
        """Control file: somebody wants the process to stop."""
        return self.path / "stop"

    @property
    def pause_path(self) -> Path:
        """Control file: the process is to wait, as long as it stands."""
        return self.path / "pause"

    @property
    def save_path(self) -> Path:
        """Control file: somebody wants a checkpoint now."""
        return self.path / "save"

    @property
    def sample_path(self) -> Path:
        """Control file: somebody wants the validation pictures now."""
        return self.path / "sample"

    def config(self) -> RunConfig:
        """The frozen config.

        Raises:
            WorkbenchError: If it is missing or cannot be read.
        """
        try:
            facts = self.config_path.stat()
        except (OSError, ValueError):
            return load_config(self.config_path)
        return _config_at(self.config_path, facts.st_ino, facts.st_mtime_ns, facts.st_size)

    def meta(self) -> dict[str, Any]:
        """Facts about the run; empty when they cannot be read."""
        facts = read_lasting(self.meta_path)
        return {} if facts is None else dict(facts)

    @property
    def title(self) -> str:
        """What the user called it."""
        return title_text(self.meta().get("title")) or self.name

    @property
    def created(self) -> float:
        """When it was made, unix time; 0 when nothing tells."""
        return created_at(self.meta_path, self.config_path)


@lru_cache(maxsize=1024)
def _config_at(path: Path, *facts: int) -> RunConfig:
    """The config in a file with that inode, time and size: it is written once, and asked for often."""
    return load_config(path)


def created_at(facts_path: Path, fallback: Path) -> float:
    """``created`` in a JSON file, else the fallback file's modification time, else 0."""
    facts = read_lasting(facts_path)
    created = None if facts is None else facts.get("created")
    if is_number(created) and 0 <= created < END_OF_TIME:
        return float(created)
    with contextlib.suppress(OSError):
        return fallback.stat().st_mtime
    return 0.0


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The runs in a folder, newest first.

    Folders without a config, files, hidden folders and links that lead elsewhere are no runs. Nothing else of a run is
    read, so that hundreds list at once.
    """
    root = Path(runs_dir).absolute()
    runs = [RunFolder(path) for path in folders_with(root, "config.json")]
    return sorted(runs, key=lambda run: (run.created, run.name), reverse=True)


def folders_with(root: Path, file_name: str) -> list[Path]:
    """The folders directly in ``root`` that hold that file and really lie there; empty when there is no such root.

    A folder whose file is there but cannot be read is among them: it is shown as damaged and does not vanish.
    """
    try:
        with os.scandir(root) as entries:
            found = [Path(entry.path) for entry in entries if _is_own_folder(entry)]
    except OSError:
        return []
    return [path for path in found if not is_missing(path / file_name)]


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, no link to one, whose name can be shown."""
    if entry.name.startswith(".") or not entry.name.isprintable():
        return False
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
