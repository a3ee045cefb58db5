"""What 20 open Monitor tabs cost a training on the same machine, and how long they wait for their answers."""

import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core.bench import figure
from core.bench.page import Server
from core.config.paths import PROJECT_ROOT
from core.config.presets import resolve_config
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.journal import Tail
from core.runs.process import kill_run, start_run
from core.runs.records import StepRecord, records_from
from core.runs.status import derive_state
from core.runs.workspace import Workspace

TABS = 20
SECONDS = 30
ORDER = (False, True, True, False) * 2
"""Whether the tabs look, window by window: a machine that slows down slows windows of both kinds alike."""
OPENING = 6
"""Seconds for the tabs to open, before the first window."""
FIRST_STEPS = 30
TIMEOUT = 300
REDRAW = 5
"""Seconds within which no chart may be drawn twice."""


@dataclass
class Window:
    """What some seconds of a training were like.

    Attributes:
        watched: Whether the tabs looked.
        steps: Those that ended in it.
        seconds: How long it was.
        page: Processor seconds of the page.
        told: What the tabs told of it; empty where they did not look.
    """

    watched: bool
    steps: list[StepRecord]
    seconds: float
    page: float
    told: dict = field(default_factory=dict)


def measure() -> None:
    """Prints errors, waiting time and bytes of the tabs, drawings, and how much slower the watched steps are."""
    server = Server()
    try:
        run = _start(Workspace(Path(server.workspace.name)))
        try:
            opened, windows = _watch(server, run)
        finally:
            kill_run(run)
            _await_end(run)
    finally:
        server.close()
    watched, alone = ([window for window in windows if window.watched == kind] for kind in (True, False))
    _print_answers(opened, watched)
    _print_usage(watched, alone)
    _print_training(watched, alone, windows)


def _watch(server: Server, run: RunFolder) -> tuple[dict, list[Window]]:
    """What the tabs told when they opened, and the windows."""
    tail = Tail(run.metrics_path)
    _await_steps(run, tail)
    tabs = subprocess.Popen(
        [sys.executable, "-m", "core.bench.tabs", server.url, f"runs/{run.name}", str(TABS)], cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        opened = _look(tabs, OPENING)
        tail.read()
        page = psutil.Process(server.process.pid)
        return opened, [_window(tabs, tail, page, watched) for watched in ORDER]
    finally:
        tabs.kill()
        tabs.wait()


def _start(workspace: Workspace) -> RunFolder:
    """A demo training that will not end by itself, in the background like those that the page starts."""
    workspace.check_writable()
    config = resolve_config("demo", overrides={"max_train_steps": 100_000})
    run = RunFolder.create(workspace.runs_dir, "load", config)
    start_run(run)
    return run


def _await_steps(run: RunFolder, tail: Tail) -> None:
    """Waits until the training is under way, its first steps and samples behind it."""
    deadline, taken = time.monotonic() + TIMEOUT, 0
    while taken < FIRST_STEPS:
        if derive_state(run).final or time.monotonic() > deadline:
            raise RunError(f"the training must take {FIRST_STEPS} steps within {TIMEOUT} s, got {taken}")
        time.sleep(0.2)
        taken += len(tail.read())


def _await_end(run: RunFolder) -> None:
    deadline = time.monotonic() + TIMEOUT
    while derive_state(run).live and time.monotonic() < deadline:
        time.sleep(0.1)


def _look(tabs: subprocess.Popen, seconds: float) -> dict:
    assert tabs.stdin is not None
    assert tabs.stdout is not None
    tabs.stdin.write(f"{seconds}\n")
    tabs.stdin.flush()
    told = tabs.stdout.readline()
    if not told:
        raise RunError("the process of the tabs must tell what it saw, but it ended; its error stands above")
    return json.loads(told)


def _window(tabs: subprocess.Popen, tail: Tail, page: psutil.Process, watched: bool) -> Window:
    used, began = _cpu(page), time.monotonic()
    told = _look(tabs, SECONDS) if watched else {}
    time.sleep(max(SECONDS - (time.monotonic() - began), 0.0))
    steps = records_from(StepRecord, tail.read())
    return Window(watched, steps, time.monotonic() - began, _cpu(page) - used, told)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def slowdown(alone: Sequence[StepRecord], watched: Sequence[StepRecord]) -> float:
    """By what share the watched steps took longer than others of as many model calls.

    Raises:
        ValueError: If no two steps can be compared.
    """
    known = defaultdict(list)
    for step in alone:
        known[step.rollout_calls].append(step.seconds)
    usual = {calls: statistics.mean(seconds) for calls, seconds in known.items()}
    pairs = [(step.seconds, usual[step.rollout_calls]) for step in watched if step.rollout_calls in usual]
    if not pairs:
        raise ValueError("the steps must have numbers of model calls in common, got none")
    return sum(took for took, _ in pairs) / sum(expected for _, expected in pairs) - 1


def _print_answers(opened: dict, watched: Sequence[Window]) -> None:
    told = [window.told for window in watched]
    answers = sorted(seconds for one in told for seconds in one["answers"])
    errors = [error for one in (opened, *told) for error in one["errors"]]
    at = f"{TABS} Monitor tabs for {_seconds(watched):.0f} s"
    figure(f"{at}: errors in {len(answers)} answers", f"{len(errors)}", "0")
    for error in sorted(set(errors))[:5]:
        print(f"  {error}")
    figure("an answer, median", f"{statistics.median(answers):.3f} s")
    figure("an answer, 95th percentile", f"{answers[int(0.95 * (len(answers) - 1))]:.3f} s", "≤ 0.5 s")
    figure("the slowest", f"{answers[-1]:.3f} s")
    figure("the slowest first answer, all tabs opened within 2 s", f"{max(opened['answers']):.3f} s")
    figure("received with an answer, mean", f"{sum(one['bytes'] for one in told) / len(answers) / 1000:.1f} kB")
    often = max(count for one in told for count in one["drawings"])
    most = SECONDS // REDRAW + 2  # one at the window's beginning, and the one before it that a tab had yet to see
    figure(f"drawings of one chart in a window of {SECONDS} s, the most", f"{often}", f"≤ {most}")


def _print_usage(watched: Sequence[Window], alone: Sequence[Window]) -> None:
    for what, windows in (("without tabs", alone), ("with the tabs", watched)):
        share = sum(window.page for window in windows) / _seconds(windows)
        figure(f"the page's share of a core, {what}", f"{share:.1%}")
    tabs = sum(window.told["cpu"] for window in watched) / _seconds(watched)
    figure("the share that the tabs' own process takes", f"{tabs:.1%}")


def _print_training(watched: Sequence[Window], alone: Sequence[Window], windows: Sequence[Window]) -> None:
    pairs = [sorted(windows[place : place + 2], key=lambda one: one.watched) for place in range(0, len(windows), 2)]
    for what, group in (("without tabs", alone), ("with the tabs", watched)):
        steps = _steps(group)
        seconds = statistics.mean(step.seconds for step in steps)
        figure(f"seconds a step, {what}, mean of {len(steps)}", f"{seconds:.3f} s")
    figure(
        "slower by, steps of as many model calls compared", f"{slowdown(_steps(alone), _steps(watched)):.1%}", "< 15 %"
    )
    each = ", ".join(f"{slowdown(one.steps, other.steps):.1%}" for one, other in pairs)
    print(f"  in each pair of windows: {each}")


def _steps(windows: Sequence[Window]) -> list[StepRecord]:
    return [step for window in windows for step in window.steps]


def _seconds(windows: Sequence[Window]) -> float:
    return sum(window.seconds for window in windows)
