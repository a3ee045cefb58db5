"""Queues of stub trainings and their runners, all real processes. Import the fixtures into a test module."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.config.paths import PROJECT_ROOT
from core.config.run import RunConfig
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.queue import enqueue
from core.runs.queue_runner import EVENT, runner_log
from core.runs.records import Event, read_records
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace
from tests.support.patience import until

STUB_RUNNER = Path(__file__).parents[1] / "core" / "runs" / "stub_runner.py"
Until = Callable[..., None]
Queued = Callable[..., list[RunFolder]]
Runner = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def queued(workspace: Workspace, config: RunConfig) -> Queued:
    """``queued("a", "b")``: runs of these names, in the queue."""

    def make(*names: str) -> list[RunFolder]:
        made = [RunFolder.create(workspace.runs_dir, name, config) for name in names]
        for run in made:
            enqueue(workspace, f"runs/{run.name}")
        return made

    return make


@pytest.fixture
def runner(workspace: Workspace) -> Iterator[Runner]:
    """``runner("a=gated", device="1")``: a runner in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*behaviours: str, device: str | None = None) -> "subprocess.Popen[bytes]":
        own = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        environment = own if device is None else {**own, "CUDA_VISIBLE_DEVICES": device}
        argv = [sys.executable, str(STUB_RUNNER), str(workspace.root), *behaviours]
        with runner_log(workspace.root).open("ab") as log:
            process = subprocess.Popen(argv, cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def log(workspace: Workspace) -> str:
    """What the runners said."""
    return runner_log(workspace.root).read_text()


def order(workspace: Workspace) -> list[str]:
    """The trainings in the order in which they were started."""
    lines = log(workspace).splitlines()
    return [line.removeprefix("runs/").removesuffix(": started") for line in lines if line.endswith(": started")]


def is_training(run: RunFolder) -> bool:
    """Whether it runs and has taken a step."""
    return derive_state(run).label == "running" and read_status(run).step > 0


def let_finish(*runs: RunFolder) -> None:
    """Lets gated trainings come to their end."""
    for run in runs:
        (run.path / "open").touch()


def label(run: RunFolder) -> str:
    """What may be believed of it, in a word."""
    return derive_state(run).label


def told(run: RunFolder) -> list[str]:
    """What the queue noted with a training."""
    return [event.text for event in read_records(Event, run.events_path) if event.kind == EVENT]


def kill(run: RunFolder) -> None:
    """Ends the run's process as a power cut would: nobody says a word about it."""
    identity = read_identity(run.process_path)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)


def die(process: "subprocess.Popen[bytes]") -> None:
    """Ends a runner at once."""
    process.kill()
    process.wait()


def lose(process: "subprocess.Popen[bytes]", run: RunFolder) -> None:
    """Ends a runner and the training that it watched, as a power cut would."""
    die(process)
    kill(run)
    until(lambda: label(run) == "lost")
