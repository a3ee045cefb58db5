"""Children of the page that print without measure, leave grandchildren behind or close what they were given."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.config.presets import load_preset
from core.runs.folder import RunFolder
from core.runs.liveness import read_exit, read_identity
from core.runs.lock import training_in_progress
from core.runs.process import start_run, stop_run, wait_for_end
from core.runs.records import Event, read_records
from core.runs.status import derive_state
from core.runs.workspace import Workspace
from tests.support.patience import until

PATIENCE = 60.0
MEBIBYTES = 10
LOUD = f"import sys\nfor _ in range({MEBIBYTES}): sys.stderr.write('x' * (2**20 - 1) + chr(10))\nsys.exit(3)"
FORKED = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('grandchild', child.pid, flush=True)\nsys.exit(4)"
)
FORKING_ON = FORKED.replace("sys.exit(4)", "import time; time.sleep(600)")
SHUT = "import os, sys, time\nfor number in range(3): os.close(number)\ntime.sleep(0.5)\nos._exit(5)"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run that was not started; what it leaves behind is ended."""
    workspace = Workspace(tmp_path / "workspace")
    made = RunFolder.create(workspace.runs_dir, "child", load_preset("demo").config)
    yield made
    for pid in left_behind(made):
        os.kill(pid, signal.SIGKILL)


def left_behind(run: RunFolder) -> list[int]:
    """Living processes that hold the run's log open."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(run.log_path) in {opened.path for opened in process.open_files()}:
                found.append(process.pid)
        except psutil.Error:
            continue
    return [pid for pid in found if pid != os.getpid()]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def ended(run: RunFolder, code: int) -> str:
    """Waits for the record of an end; what is said of it."""
    until(lambda: read_exit(run.exit_path))
    exited = read_exit(run.exit_path)
    assert exited is not None
    assert exited.code == code
    until(lambda: [event for event in read_records(Event, run.events_path) if event.kind == "exit"])
    until(lambda: derive_state(run).label == "failed")
    return derive_state(run).message


def test_a_child_that_prints_ten_mebibytes_is_never_held_up(run) -> None:
    start_run(run, command=python(LOUD))
    assert f"exit code {3}" in ended(run, 3)
    assert run.log_path.stat().st_size == MEBIBYTES * 2**20
    assert len(derive_state(run).message) < 2**17


def test_a_grandchild_that_holds_the_log_does_not_hold_up_the_record(run) -> None:
    start_run(run, command=python(FORKED))
    message = ended(run, 4)
    assert "grandchild" in message
    assert training_in_progress(run.path.parents[1]) is None


def test_a_stop_ends_the_grandchildren_too(run) -> None:
    start_run(run, command=python(FORKING_ON))
    until(lambda: run.log_path.exists() and "grandchild" in run.log_path.read_text())
    grandchild = int(run.log_path.read_text().split()[1])
    stop_run(run, grace=0.1)
    assert wait_for_end(run, PATIENCE).label == "stopped"
    until(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE)


def test_a_child_that_closes_what_it_was_given_is_watched_all_the_same(run) -> None:
    start_run(run, command=python(SHUT))
    identity = read_identity(run.process_path)
    assert identity is not None
    assert derive_state(run).label == "running"
    assert "its log is empty" in ended(run, 5)
