"""A workspace with hundreds of trainings, logs and journals without measure: the page's work stays bounded.

Work is counted, in bytes that the process read and in files that it opened, never in seconds.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.journals import Journals
from app.page import assemble
from app.workbench import Workbench
from core.config.presets import load_preset
from core.runs.files import write_whole
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from core.runs.log import last_words
from core.runs.status import Status, derive_state, write_status
from core.runs.workspace import Workspace
from tests.support.fabricated import changed, finish, look_at, make_experiment, write_steps
from tests.support.typed_commands import typed  # noqa: F401  a fixture

GIBIBYTE = 2**30
RUNS, EXPERIMENTS = 500, 50
LINES = (4_000, pytest.param(200_000, marks=pytest.mark.faults))
VIEWS = ("home", "launch", "monitor", "compare", "inspect", "export")
opened: list[str] = []
"""What was opened or listed since it was last emptied, by this process's hook, which cannot be taken away again."""


def _note(event: str, arguments: tuple) -> None:
    if event in ("open", "os.scandir", "os.listdir"):
        opened.append(str(arguments[0]))


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_note)


def bytes_read(act: Callable[[], object]) -> int:
    """How many bytes this process read while something was done."""

    def total() -> int:
        facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(facts["rchar"])

    before = total()
    act()
    return total() - before


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return assemble(Workbench(Workspace(tmp_path_factory.mktemp("page"))))[1]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    made.check_writable()
    return made


@pytest.fixture
def parts(shown, workspace):
    shown.workbench = Workbench(workspace)
    return shown


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    """A run that is lost: its error card shows the end of its log."""
    made = RunFolder.create(workspace.runs_dir, "large", load_preset("demo").config)
    write_status(made, Status(phase="training", step=3, total=9))
    return made


def sparse(path: Path, size: int, end: bytes) -> None:
    with path.open("wb") as file:
        file.seek(size)
        file.write(end)


@pytest.mark.parametrize("end", [b"\nthe picture cat.png cannot be read\n", b" the picture cat.png cannot be read"])
def test_of_a_log_of_a_gibibyte_only_the_end_is_read(parts, run, end: bytes) -> None:
    """With lines, and as one line without an end."""
    sparse(run.log_path, GIBIBYTE, end)
    look_at(parts, "monitor", selection="runs/large")
    shown = {}
    count = bytes_read(lambda: shown.update(look_at(parts, "monitor", selection="runs/large")[0]))
    assert count < 2**20
    assert "cat.png cannot be read" in shown["monitor.log"]
    assert "cat.png cannot be read" in shown["monitor.status"]
    assert bytes_read(lambda: last_words(run.log_path)) < 2**17


@pytest.mark.parametrize("lines", LINES)
def test_a_journal_of_many_lines_is_read_once(parts, run, lines: int) -> None:
    write_steps(run, 1)
    line = json.loads(run.metrics_path.read_text())
    with run.metrics_path.open("w") as file:
        file.writelines(json.dumps({**line, "step": step}) + "\n" for step in range(1, lines + 1))
    steps = parts.workbench.journals.steps(run.metrics_path)
    assert steps[-1].step == len(steps) == lines
    write_steps(run, 3, first=lines + 1)
    count = bytes_read(lambda: parts.workbench.journals.steps(run.metrics_path))
    assert count < 2**14
    assert parts.workbench.journals.steps(run.metrics_path)[-1].step == lines + 3


def test_garbage_without_an_end_is_read_once_and_what_follows_it_counts(run) -> None:
    journals = Journals()
    write_steps(run, 2)
    with run.metrics_path.open("r+b") as file:
        file.truncate(GIBIBYTE // 16)
    assert len(journals.steps(run.metrics_path)) == 2
    assert bytes_read(lambda: journals.steps(run.metrics_path)) < 2**14
    write_steps(run, 1, first=3)  # closes the line first
    assert [record.step for record in journals.steps(run.metrics_path)] == [1, 2, 3]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Workspace:
    """Finished trainings, made by copying one of each."""
    made = Workspace(tmp_path_factory.mktemp("crowd") / "workspace")
    made.check_writable()
    config = changed(load_preset("demo").config, max_train_steps=30)
    first = RunFolder.create(made.runs_dir, "run-0", config)
    write_steps(first, 2)
    finish(first)
    for number in range(1, RUNS):
        _copy(first.path, made.runs_dir / f"run-{number}", "run.json", number)
    experiment = make_experiment(made, "Pair 0", config)
    for number in range(1, EXPERIMENTS):
        _copy(experiment.path, made.experiments_dir / f"pair-{number}", "experiment.json", number)
    return made


def _copy(source: Path, target: Path, name: str, number: int) -> None:
    shutil.copytree(source, target, copy_function=os.link)
    facts = json.loads((target / name).read_text())
    write_whole(target / name, json.dumps({**facts, "title": f"{target.name} copied", "created": 1e9 + number}))


def test_an_idle_look_at_five_hundred_runs_opens_a_handful_of_files(shown, crowded) -> None:
    shown.workbench = Workbench(crowded)
    for view in VIEWS:
        chosen = {"selection": "runs/run-7", "compare.pick": ["experiments/pair-3"]}
        told, seen = look_at(shown, view, **chosen)
        if view == "home":
            assert f"and {RUNS + EXPERIMENTS - 8} older ones" in told["home.list"]
            assert told["home.list"].count("<li>") == 8
        _, seen = look_at(shown, view, seen, **chosen)
        opened.clear()
        assert look_at(shown, view, seen, **chosen)[0] == {}
        assert len(opened) < 60, (view, len(opened), opened[:80])


def test_while_one_of_five_hundred_trains_a_look_asks_that_one_alone(shown, crowded) -> None:
    shown.workbench = Workbench(crowded)
    run = RunFolder(crowded.runs_dir / "run-7")
    own = Identity.of(os.getppid())
    record_launch(crowded.root, 'run "run-7"', run.path, own)
    write_status(run, Status(phase="training", step=3, total=9).by(own).beaten())
    try:
        look_at(shown, "launch")
        opened.clear()
        assert "run-7 copied" in look_at(shown, "launch")[0]["strip"]
        assert len(opened) < 60, opened[:80]
    finally:
        shutil.rmtree(crowded.root / ".training")
        finish(run)


def test_pickers_hold_all_of_them_and_one_of_them_can_be_chosen(shown, crowded) -> None:
    shown.workbench = Workbench(crowded)
    told, _ = look_at(shown, "monitor", selection="runs/run-321")
    assert len(told["monitor.pick"].choices) == RUNS + EXPERIMENTS
    assert told["monitor.pick"].value == "runs/run-321"
    assert "run-321" in told["monitor.status"]


def test_status_lists_them_all(typed, crowded) -> None:  # noqa: F811
    code, said, _ = typed("status", "--workspace", str(crowded.root))
    assert code == 0
    assert len(said) == RUNS + 2 * EXPERIMENTS
    assert derive_state(RunFolder(crowded.runs_dir / "run-499")).label == "done"
