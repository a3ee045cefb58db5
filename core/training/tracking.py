"""The curves of a run's journals, sent on to TensorBoard, wandb or trackio as well: accelerate's trackers.

Nothing leaves this machine unless somebody asks for it outside of the run's options: wandb keeps its files until
``wandb sync`` or ``WANDB_MODE=online``, trackio writes a database here unless ``TRACKIO_SPACE_ID`` or
``TRACKIO_SERVER_URL`` is set. Tokens are the trackers' own affair: none is read or written here.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from core.config.flat import flatten
from core.config.run import RunConfig
from core.runs.files import make_folder
from core.runs.folder import RunFolder

PROJECT = "rollout-workbench"


@contextmanager
def tracked(accelerator: Accelerator, folder: RunFolder, config: RunConfig, after: int) -> Iterator[None]:
    """Inside, ``accelerator.log`` reaches the run's tracker, on the main process; without one it does nothing.

    Args:
        accelerator: made with this tracker.
        folder: of the run; the tracker's files go into its ``logs``.
        config: of the run.
        after: steps that were taken before: a resumed run goes on under its own name.
    """
    name = config.validation.report_to
    if name == "none" or not accelerator.is_main_process:
        yield
        return
    project = name if name == "tensorboard" else PROJECT
    accelerator.init_trackers(project, init_kwargs={name: _SETTINGS[name](folder, config, after)})
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


def scalars(prefix: str, record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a journal's record under ``prefix/``; what is unset, not finite, a list or a word is left out."""
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= scalars(f"{prefix}/{name}", value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found |= {} if name == "step" else {f"{prefix}/{name}": value}
    return found


def _tensorboard(folder: RunFolder, config: RunConfig, after: int) -> dict[str, Any]:
    """What an earlier process wrote of later steps is hidden: those are taken again."""
    return {"purge_step": after + 1 if after > 0 else 0}


def _wandb(folder: RunFolder, config: RunConfig, after: int) -> dict[str, Any]:
    """One id for the run's whole life; neither console nor code nor git is read."""
    return {
        "id": _identity(folder),
        "name": folder.name,
        "resume": "allow",
        "dir": str(_made(folder.logs_dir)),
        "mode": os.environ.get("WANDB_MODE", "offline"),
        "config": flatten(config),
        "settings": {"console": "off", "disable_git": True, "disable_code": True},
    }


def _trackio(folder: RunFolder, config: RunConfig, after: int) -> dict[str, Any]:
    """Its database's place is read from the environment when it is imported, which happens after this."""
    os.environ.setdefault("TRACKIO_DIR", str(_made(folder.logs_dir / "trackio")))
    return {
        "name": folder.name,
        "resume": "allow",
        "config": flatten(config),
        "embed": False,
        "auto_log_cpu": False,
        "auto_log_gpu": False,
    }


_SETTINGS: Mapping[str, Callable[[RunFolder, RunConfig, int], dict[str, Any]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}


def _identity(folder: RunFolder) -> str:
    """Of a run, wherever its folder is moved to: from its name and the moment when it was made."""
    return hashlib.blake2b(f"{folder.name} {folder.created!r}".encode(), digest_size=8).hexdigest()


def _made(path: Path) -> Path:
    make_folder(path)
    return path
