"""The order of the queue: what may stand in it, how it is changed, and what a damaged file costs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.paths import PROJECT_ROOT
from core.config.run import RunConfig
from core.errors import RunError
from core.runs.experiment import create_experiment
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.queue import (
    DAMAGED,
    Item,
    changing,
    dequeue,
    enqueue,
    hold,
    items,
    move,
    queue_path,
    read_queue,
    release,
    waiting,
)
from core.runs.status import Status, derive_state, write_status
from core.runs.trainings import find_training, never_started, selection_of
from core.runs.workspace import Workspace

Make = Callable[..., list[str]]


@pytest.fixture
def make(workspace: Workspace, config: RunConfig) -> Make:
    """``make("a", "b")``: runs of these names; how they are addressed."""
    return lambda *names: [f"runs/{RunFolder.create(workspace.runs_dir, name, config).name}" for name in names]


def order(workspace: Workspace) -> str:
    return " ".join(item.selection.removeprefix("runs/") for item in items(workspace.root))


def start(workspace: Workspace, selection: str, device: str = "default") -> None:
    """What a runner writes when it has started a training."""
    with changing(workspace.root) as change:
        change.queue = change.queue.started_with(Item(selection, device, 1))


def test_an_empty_workspace_has_an_empty_queue_and_no_file(workspace: Workspace) -> None:
    assert (items(workspace.root), waiting(workspace.root)) == ((), 0)
    assert not workspace.root.exists()


def test_trainings_wait_in_the_order_in_which_they_came(workspace: Workspace, make: Make, config: RunConfig) -> None:
    first, second = make("a", "b")
    create_experiment(workspace, "ab", config)
    places = [enqueue(workspace, selection) for selection in (second, "experiments/ab", first)]
    assert places == [1, 2, 3]
    assert order(workspace) == "b experiments/ab a"
    assert waiting(workspace.root) == 3


@pytest.mark.parametrize(
    "name", ["", "a", "runs/gone", "experiments/a", "runs/ab/rollout", "runs/../a", "runs/", "else/a", "runs/A"]
)
def test_what_is_no_training_is_refused(workspace: Workspace, make: Make, name: str) -> None:
    make("a")
    with pytest.raises(RunError, match="must be"):
        enqueue(workspace, name)
    assert items(workspace.root) == ()


def test_what_is_queued_done_or_under_way_is_refused_and_what_broke_off_is_taken(
    workspace: Workspace, make: Make
) -> None:
    queued, done, running, failed, lost = make("queued", "done", "running", "failed", "lost")
    own = Identity.of(os.getppid())
    write_status(find_training(workspace, done).folder, Status("done"))
    write_status(
        find_training(workspace, running).folder,
        Status("training", pid=own.pid, create_time=own.create_time, ticks=own.ticks, boot=own.boot),
    )
    write_status(find_training(workspace, failed).folder, Status("failed", error="out of memory"))
    write_status(find_training(workspace, lost).folder, Status("training"))
    for selection in (queued, failed, lost):
        enqueue(workspace, selection)
    refused = {queued: "not in the queue, got run", done: "not done", running: "not under way"}
    for selection, why in refused.items():
        with pytest.raises(RunError, match=f"training to queue must be one that is {why}"):
            enqueue(workspace, selection)
    assert order(workspace) == "queued failed lost"


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [("a", 1, "a b c"), ("a", 2, "b a c"), ("a", 3, "b c a"), ("c", 1, "c a b"), ("b", 2, "a b c")],
)
def test_a_training_gets_another_place_and_the_others_close_up(
    workspace: Workspace, make: Make, name: str, place: int, expected: str
) -> None:
    for selection in make("a", "b", "c"):
        enqueue(workspace, selection)
    move(workspace, f"runs/{name}", place)
    assert order(workspace) == expected


def test_places_count_what_waits_and_what_was_started_keeps_its_own(workspace: Workspace, make: Make) -> None:
    for selection in make("a", "b", "c"):
        enqueue(workspace, selection)
    start(workspace, "runs/b")
    assert (order(workspace), waiting(workspace.root)) == ("b a c", 2)
    move(workspace, "runs/c", 1)
    assert order(workspace) == "b c a"
    for place in (0, 3, -1):
        with pytest.raises(RunError, match=f"place must be between 1 and 2, got {place}"):
            move(workspace, "runs/a", place)
    with pytest.raises(RunError, match="which was started"):
        move(workspace, "runs/b", 1)
    for change in (lambda: move(workspace, "runs/else", 1), lambda: dequeue(workspace, "runs/else")):
        with pytest.raises(RunError, match="which is not in it"):
            change()


def test_what_is_taken_out_keeps_its_folder_and_can_be_put_in_again(workspace: Workspace, make: Make) -> None:
    (selection,) = make("a")
    enqueue(workspace, selection)
    dequeue(workspace, selection)
    assert (items(workspace.root), never_started(workspace)) == ((), [selection])
    assert derive_state(find_training(workspace, selection).folder).label == "queued"
    assert enqueue(workspace, selection) == 1


def test_what_is_under_way_is_not_taken_out_and_what_died_or_vanished_is(workspace: Workspace, make: Make) -> None:
    (selection,) = make("a")
    folder, own = find_training(workspace, selection).folder, Identity.of(os.getppid())
    start(workspace, selection)
    start(workspace, "runs/gone")
    said = Status("training", pid=own.pid, create_time=own.create_time, ticks=own.ticks, boot=own.boot)
    write_status(folder, said)
    with pytest.raises(RunError, match="stop it instead"):
        dequeue(workspace, selection)
    write_status(folder, Status("training"))
    dequeue(workspace, selection)
    dequeue(workspace, "runs/gone")
    assert items(workspace.root) == ()


def test_holding_is_remembered_and_changes_no_order(workspace: Workspace, make: Make) -> None:
    (selection,) = make("a")
    enqueue(workspace, selection)
    hold(workspace)
    assert (read_queue(workspace.root).held, order(workspace)) == (True, "a")
    release(workspace)
    assert (read_queue(workspace.root).held, order(workspace)) == (False, "a")


DAMAGES = {
    "empty": b"",
    "torn": b'{"held": false, "items": [{"selection": "ru',
    "no-object": b"[]",
    "no-list": b'{"items": 3}',
    "no-text": b"\xff\x00\xfe",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", [*DAMAGES, "folder"])
def test_a_damaged_file_says_so_and_loses_no_training(workspace: Workspace, make: Make, name: str) -> None:
    first, second = make("a", "b")
    for selection in (first, second):
        enqueue(workspace, selection)
    path = queue_path(workspace.root)
    path.unlink()
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(DAMAGES[name])
    problem = read_queue(workspace.root).problem
    assert problem is not None
    assert "must hold the order of the queue" in problem
    assert "no training is lost" in problem
    assert (items(workspace.root), waiting(workspace.root)) == ((), 0)
    assert never_started(workspace) == [first, second]
    assert enqueue(workspace, second) == 1
    assert (read_queue(workspace.root).problem, order(workspace)) == (None, "b")
    assert path.with_name(DAMAGED).exists()


def test_lines_that_are_no_training_are_told_and_the_others_stay(workspace: Workspace, make: Make) -> None:
    for selection in make("a", "b"):
        enqueue(workspace, selection)
    path = queue_path(workspace.root)
    facts = json.loads(path.read_text())
    bad = [7, {"selection": "runs/../x"}, {"selection": None}, {"selection": "runs/c", "device": 3}]
    path.write_text(json.dumps({**facts, "items": [*bad, *facts["items"]]}))
    problem = read_queue(workspace.root).problem
    assert problem is not None
    assert "got 4 lines of something else" in problem
    move(workspace, "runs/b", 1)
    assert (order(workspace), read_queue(workspace.root).problem) == ("b a", None)


ADD = """
import sys
from pathlib import Path
from core.runs.queue import enqueue
from core.runs.workspace import Workspace
for name in sys.argv[2:]:
    enqueue(Workspace(Path(sys.argv[1])), f"runs/{name}")
"""


def test_of_many_who_add_at_once_nobody_is_lost(workspace: Workspace, make: Make) -> None:
    names = [selection.partition("/")[2] for selection in make(*(f"r{number}" for number in range(12)))]
    adders = [
        subprocess.Popen([sys.executable, "-c", ADD, str(workspace.root), *names[part::3]], cwd=PROJECT_ROOT)
        for part in range(3)
    ]
    assert [process.wait(timeout=60) for process in adders] == [0, 0, 0]
    assert sorted(order(workspace).split()) == sorted(names)


def test_a_training_is_found_by_its_name_its_kind_and_its_folder(
    workspace: Workspace, make: Make, config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make("a", "both")
    create_experiment(workspace, "both", config)
    assert selection_of(workspace, "a") == "runs/a"
    assert selection_of(workspace, "runs/both") == "runs/both"
    monkeypatch.chdir(workspace.experiments_dir)
    assert selection_of(workspace, str(workspace.runs_dir / "a")) == "runs/a"
    assert selection_of(workspace, "./both") == "experiments/both"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="runs/both and experiments/both, got"):
        selection_of(workspace, "both")
    for typed in ("else", "x" * 5000, "a\0b", "", "../a"):
        with pytest.raises(RunError, match="must be a run or an experiment of"):
            selection_of(workspace, typed)
    with pytest.raises(RunError, match="must lie in the workspace"):
        selection_of(Workspace(tmp_path / "other"), str(workspace.runs_dir / "a"))
