"""Measuring a training in a process of its own, which outlives the page that asked for it."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.config.paths import PROJECT_ROOT
from core.config.run import RunConfig
from core.config.saved import save_config
from core.errors import RunError
from core.runs.background import start_in_background
from core.runs.files import is_missing, make_folder
from core.runs.folder import RunFolder
from core.runs.launch import Child, child_environment, record_end
from core.runs.lock import starting
from core.runs.measurement import find_measurement, measurement_path
from core.runs.status import State, derive_state, read_status, write_status


def start_measurement(root: Path, config: RunConfig, command: Sequence[str] | None = None) -> None:
    """Starts ``python -m core forecast`` for a config in the background.

    Args:
        root: The workspace, where the result is kept (`find_measurement`).
        config: What to measure.
        command: Another program.

    Raises:
        RunError: If a training or another measurement is in progress, or something cannot be written or started.
    """
    folder = measuring_folder(root, config)
    with starting(root):
        make_folder(folder.path)
        save_config(config, folder.config_path)
        folder.log_path.unlink(missing_ok=True)  # an older error must not be taken for this one's
        argv = _command(root, folder) if command is None else command
        start_in_background(root, "a measurement", folder, argv, _reap)


def measure_apart(root: Path, config: RunConfig) -> None:
    """Runs ``python -m core forecast`` for a config and waits for its end: one process measures one precision only.

    Raises:
        RunError: If it failed, after its own words on the terminal, or something cannot be written.
    """
    folder = measuring_folder(root, config)
    make_folder(folder.path)
    save_config(config, folder.config_path)
    environment = child_environment()
    done = subprocess.run(_command(root, folder), stdout=subprocess.DEVNULL, env=environment, cwd=PROJECT_ROOT)
    if done.returncode != 0:
        raise RunError(f"the measurement must end well, got exit code {done.returncode}; see what it says above")


def _command(root: Path, folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "core", "forecast", str(folder.config_path), "--workspace", str(root)]


def measuring_folder(root: Path, config: RunConfig) -> RunFolder:
    """Config, log and status of the process that measures for that config."""
    return RunFolder(measurement_path(root, config).with_suffix(""))


def measuring_state(root: Path, config: RunConfig) -> State | None:
    """What may be believed of a measurement that runs, or failed after the last one that did not; else None."""
    folder = measuring_folder(root, config)
    if is_missing(folder.status_path):
        return None
    state, found = derive_state(folder), find_measurement(root, config)
    if not state.live and found is not None and state.status.heartbeat <= found.time:
        return None
    return state if state.live or state.label in ("failed", "lost") else None


def _reap(folder: RunFolder, child: Child) -> None:
    """Waits for the child in a thread of its own that does not keep this process alive, and records its end."""

    def wait() -> None:
        # a folder that was deleted meanwhile takes no record: readers then find the measurement lost
        with contextlib.suppress(RunError):
            if child.wait() == 0:
                write_status(folder, replace(read_status(folder), phase="done"))
            record_end(folder, child)

    threading.Thread(target=wait, name=f"reap-{child.pid}", daemon=True).start()
