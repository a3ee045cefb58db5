"""The queue as it is typed: nothing starts here, for it is held throughout."""

import json

import pytest
from typed_commands import Typed, typed

from core.runs.experiment_folder import Experiment
from core.runs.folder import RunFolder
from core.runs.queue import items, queue_path
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace

__all__ = ["typed"]


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def held(typed: Typed, workspace: Workspace) -> Typed:
    """The command line over a held queue of a run and an experiment."""
    assert typed("queue", "hold")[0] == 0
    code, out, err = typed("train", "demo", "--name", "Cat", "--queue")
    assert (code, err) == (0, [])
    assert out[-1].startswith("queued: runs/cat, place 1; the queue is held")
    code, out, err = typed("ab", "demo", "--name", "Both", "--queue")
    assert (code, err) == (0, [])
    assert out[-1].startswith("queued: experiments/both, place 2")
    return typed


def order(workspace: Workspace) -> list[str]:
    return [item.selection for item in items(workspace.root)]


def test_what_is_queued_is_made_and_not_trained(held: Typed, workspace: Workspace) -> None:
    assert not RunFolder(workspace.runs_dir / "cat").status_path.exists()
    assert len(Experiment(workspace.experiments_dir / "both").arms) == 2
    assert order(workspace) == ["runs/cat", "experiments/both"]


def test_the_list_tells_place_training_and_state(held: Typed, workspace: Workspace) -> None:
    code, out, _ = held("queue")
    assert code == 0
    assert [line.split()[:3] for line in out[:2]] == [["1", "runs/cat", "queued"], ["2", "experiments/both", "queued"]]
    assert out[2].startswith("held: ")
    code, out, _ = held("queue", "--json")
    facts = json.loads("".join(out))
    assert (code, facts["held"], facts["runner"], facts["problem"]) == (0, True, False, None)
    assert [(row["training"], row["place"], row["title"]) for row in facts["items"]] == [
        ("runs/cat", 1, "Cat"), ("experiments/both", 2, "Both"),
    ]  # fmt: skip


def test_the_order_is_changed_and_a_training_taken_out_and_put_in_again(held: Typed, workspace: Workspace) -> None:
    assert held("queue", "move", "both", "1")[0] == 0
    assert order(workspace) == ["experiments/both", "runs/cat"]
    assert held("queue", "remove", "both")[0] == 0
    assert order(workspace) == ["runs/cat"]
    assert held("queue", "add", "experiments/both")[0] == 0
    assert order(workspace) == ["runs/cat", "experiments/both"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add", "else"), 1, "training must be a run or an experiment of"),
        (("add", "cat"), 1, "must be one that is not in the queue"),
        (("add", "../cat"), 1, "training must be"),
        (("move", "cat", "3"), 1, "place must be between 1 and 2, got 3"),
        (("move", "cat", "0"), 2, ""),
        (("move", "cat", "first"), 2, ""),
        (("move", "else", "1"), 1, "training must be a run or an experiment of"),
        (("remove", "else"), 1, "training must be a run or an experiment of"),
        (("remove",), 2, ""),
        (("nonsense",), 2, ""),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    held: Typed, workspace: Workspace, words: tuple[str, ...], code: int, told: str
) -> None:
    before = queue_path(workspace.root).read_bytes()
    found, _, err = held("queue", *words)
    assert found == code
    assert told in "\n".join(err)
    assert queue_path(workspace.root).read_bytes() == before


def test_what_is_done_is_refused(held: Typed, workspace: Workspace) -> None:
    assert held("queue", "remove", "cat")[0] == 0
    write_status(RunFolder(workspace.runs_dir / "cat"), Status("done"))
    code, _, err = held("queue", "add", "cat")
    assert code == 1
    assert "must be one that is not done" in err[0]


def test_a_damaged_queue_is_told_with_what_to_do(held: Typed, workspace: Workspace) -> None:
    queue_path(workspace.root).write_text("{")
    code, out, err = held("queue")
    assert (code, out) == (1, ["nothing is queued"])
    assert "no training is lost" in err[0]


def test_a_run_elsewhere_cannot_be_queued_and_is_not_made(typed: Typed, tmp_path) -> None:
    code, _, err = typed("train", "demo", "--queue", "--runs-dir", str(tmp_path / "else"))
    assert code == 2
    assert "--runs-dir must be left out with --queue" in err[0]
    assert not (tmp_path / "else").exists()


def test_an_option_before_the_command_is_refused_and_not_passed_over(typed: Typed, tmp_path) -> None:
    assert typed("queue", "--workspace", str(tmp_path / "else"), "hold")[0] == 2
    assert not (tmp_path / "workspace").exists()


def test_an_empty_queue_is_released_and_run_and_nothing_happens(typed: Typed) -> None:
    assert typed("queue") == (0, ["nothing is queued"], [])
    assert typed("queue", "release")[0] == 0
    assert typed("queue", "run") == (0, [], [])


@pytest.mark.parametrize("command", ["add", "move", "remove", "hold", "release", "run"])
def test_every_command_of_the_queue_has_help(typed: Typed, command: str) -> None:
    code, out, _ = typed("queue", command, "--help")
    assert code == 0
    assert any(f"queue {command}" in line for line in out)
