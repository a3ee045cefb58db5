"""The page dies, or another page works beside it, while something trains. Real processes throughout."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pages import ServedPage
from real_trainings import Place

from core.config.paths import PROJECT_ROOT
from core.runs.folder import RunFolder, list_runs
from core.runs.liveness import read_exit, read_identity
from core.runs.lock import training_in_progress
from core.runs.records import Event, StepRecord, read_records
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace
from tests.support.patience import until

STAND_IN = PROJECT_ROOT / "tests" / "support" / "stand_in_page.py"
STUB = PROJECT_ROOT / "tests" / "core" / "runs" / "stub_trainer.py"
ROUNDS = 2
SPAN = 0.06
"""Seconds that a start takes at most, between the button and ``current.json``, on a machine with nothing else to do."""


class StandIn:
    """See ``stand_in_page``."""

    def __init__(self, workspace: Workspace, python: Path) -> None:
        argv = [sys.executable, str(STAND_IN), str(workspace.root), str(python)]
        environ = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
        self.process = subprocess.Popen(
            argv, cwd=PROJECT_ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.hear() == "ready"

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def hear(self):
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, *words: object):
        self.tell(*words)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace; every process that names it is ended."""
    made = Workspace(tmp_path / "workspace")
    made.check_writable()
    yield made
    for process in trainers(made):
        os.killpg(process.pid, signal.SIGKILL)


def python_for(tmp_path: Path, behaviour: str) -> Path:
    """A program that takes ``-m core run RUN`` and is a stub trainer."""
    path = tmp_path / f"python-{behaviour}"
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(STUB)])} "$4" {behaviour}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def open_page(workspace: Workspace, tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """``open_page(behaviour)``: a stand-in whose trainings behave so."""
    opened: list[StandIn] = []

    def go(behaviour: str = "train") -> StandIn:
        opened.append(StandIn(workspace, python_for(tmp_path, behaviour)))
        return opened[-1]

    yield go
    for page in opened:
        if page.process.poll() is None:
            page.kill()


def trainers(workspace: Workspace) -> list[psutil.Process]:
    """The leaders of the sessions of all trainings in a workspace."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        is_one = str(workspace.runs_dir) in words and process.info["status"] != psutil.STATUS_ZOMBIE
        if is_one and os.getsid(process.pid) == process.pid:
            found.append(process)
    return found


def only_run(workspace: Workspace) -> RunFolder:
    (run,) = list_runs(workspace.runs_dir)
    return run


def trains(run: RunFolder) -> Callable[[], bool]:
    return lambda: read_status(run).phase == "training" and read_status(run).step > 0


def test_a_training_whose_page_was_killed_is_done_when_it_is_done(workspace, open_page) -> None:
    page = open_page("finish")
    page.ask("start", "one")
    page.kill()
    run = only_run(workspace)
    until(lambda: derive_state(run).label == "done")
    assert read_exit(run.exit_path) is None
    assert training_in_progress(workspace.root) is None
    assert open_page().ask("start", "two") == {"told": "runs/two"}


def killed_in_a_start(workspace: Workspace, page: StandIn, after: StandIn, number: int, moment: float) -> str:
    """Kills a page so many seconds after its button; another finds what was left of the start, told in a word."""
    page.tell("start", f"run {number}")
    time.sleep(moment)
    page.kill()
    run = RunFolder(workspace.runs_dir / f"run-{number}")
    left = "nothing" if not run.config_path.exists() else "a queued folder"
    assert len(trainers(workspace)) <= 1
    if trainers(workspace):
        left = "a training" if read_identity(run.process_path) is not None else "a training without a launch record"
        until(trains(run))
        assert [f"runs/{run.name}", "running"] in after.ask("entries")["told"]
        assert "error" in after.ask("start", f"beside {number}")
        assert "was asked to stop" in after.ask("stop", f"runs/{run.name}")["told"]
        until(lambda: after.ask("poll", str(run.path))["told"] == "stopped")
    until(lambda: not trainers(workspace))
    assert derive_state(run).label in ("queued", "stopped", "lost")
    name = f"after {number}"
    started = after.ask("start", name)
    assert "told" in started
    after.ask("stop", started["told"])
    until(lambda: not trainers(workspace))
    return left


def test_a_page_that_is_killed_in_a_start_leaves_no_second_training_and_no_lock(workspace, open_page) -> None:
    killed_in_a_start(workspace, open_page(), open_page(), 0, SPAN / 2)


@pytest.mark.faults
def test_a_page_is_killed_at_fifty_moments_of_a_start(workspace, open_page) -> None:
    after = open_page()
    left = {killed_in_a_start(workspace, open_page(), after, number, SPAN * number / 25) for number in range(50)}
    assert len(left) >= 2, left


def test_of_two_pages_that_start_at_the_same_moment_one_does(workspace, open_page) -> None:
    one, other = pages = open_page(), open_page()
    for number in range(ROUNDS):
        for page, name in zip(pages, ("a", "b"), strict=True):
            page.tell("start", f"{name}{number}")
        answers = [page.hear() for page in pages]
        (error,) = [answer["error"] for answer in answers if "error" in answer]
        (winner,) = [answer["told"] for answer in answers if "told" in answer]
        assert "one training must" in error
        run = workspace.find(winner.partition("/")[2])
        names = {f"a{number}", f"b{number}"}
        assert {found.name for found in list_runs(workspace.runs_dir)} & names == {run.name}, "the other left a folder"
        assert one.ask("entries") == other.ask("entries")
        until(trains(run))
        for page in pages:  # both press Stop, whoever started it
            page.tell("stop", winner)
        assert all("was asked to stop" in page.hear()["told"] for page in pages)
        until(lambda run=run: derive_state(run).label == "stopped")
        until(lambda: not trainers(workspace))


@pytest.mark.faults
def test_two_pages_send_each_signal_of_a_stop_once(workspace, open_page) -> None:
    one, other = open_page("stubborn"), open_page()
    one.ask("start", "one")
    run = only_run(workspace)
    until(lambda: read_status(run).phase == "training")
    assert other.ask("press", str(run.path), 0.2)["told"] == "stopping"

    def is_over() -> bool:
        for page in (one, other):
            page.tell("poll", str(run.path))
        return all(page.hear()["told"] == "stopped" for page in (one, other))

    until(is_over)
    signals = [event.details["signal"] for event in read_records(Event, run.events_path) if event.kind == "signal"]
    assert signals == ["SIGINT", "SIGTERM", "SIGKILL"]


@pytest.mark.faults
def test_a_real_page_is_killed_and_the_next_one_stops_its_training(tmp_path: Path, workspace: Workspace) -> None:
    place = Place(tmp_path)
    config = json.dumps(place.values(max_train_steps=100_000, checkpointing_steps=20))
    pages = [ServedPage(workspace.root, tmp_path / "page.log", "--allowed-path", str(tmp_path)).wait()]
    try:
        visitor = pages[0].visit()
        visitor.press("apply-text", **{"config-text": config})
        visitor.press("start", mode="single", name="Real one")
        assert visitor["selection"] == "runs/real-one", visitor["launch-message"]
        run = workspace.find("real-one")
        until(lambda: len(read_records(StepRecord, run.metrics_path)) > 3)
        pages[0].end()
        steps = len(read_records(StepRecord, run.metrics_path))
        until(lambda: len(read_records(StepRecord, run.metrics_path)) > steps + 5)
        pages.append(ServedPage(workspace.root, tmp_path / "other.log", "--allowed-path", str(tmp_path)).wait())
        beside = pages[1].visit()
        beside.look("monitor")
        assert "Real one" in beside["strip"]
        assert "rw-state-running" in beside["strip"]
        beside.press("stop", active="runs/real-one")
        until(lambda: derive_state(run).final)
        assert derive_state(run).label == "stopped"
        assert any(run.checkpoints_dir.glob("step-*"))
        beside.look("monitor")
        assert "Nothing is training" in beside["strip"]
        assert "Traceback" not in pages[0].log.read_text() + pages[1].log.read_text()
    finally:
        for page in pages:
            page.end()
