"""Experiments on the command line: what is asked for, what is said before training, and going on after a stop."""

import json
import sys
from pathlib import Path

import pytest

from core.__main__ import _guarded, app
from core.runs.arms import KNOWN_ARMS
from core.runs.experiment import Experiment, list_experiments
from core.runs.folder import RunFolder
from core.runs.scores import SCORES
from core.runs.status import derive_state
from core.runs.workspace import Workspace

STUB = Path(__file__).parents[1] / "runs" / "stub_trainer.py"
K = "scheduled_sampling_max_step_offset"


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def failing() -> set[str]:
    """Names of the runs that crash."""
    return set()


@pytest.fixture
def trained(monkeypatch, failing) -> list[str]:
    """The runs that were trained, by a stub, in their order."""
    names: list[str] = []

    def command(run: RunFolder) -> list[str]:
        names.append(run.name)
        return [sys.executable, str(STUB), str(run.path), "crash" if run.name in failing else "finish"]

    monkeypatch.setattr("core.runs.experiment.arm_command", command)
    return names


@pytest.fixture
def typed(capsys, workspace, trained):
    """``typed("ab", "demo", …)``: exit status, lines said, lines complained."""

    def command(*words: str) -> tuple[int, list[str], list[str]]:
        try:
            code = _guarded(lambda: app([*words, "--workspace", str(workspace.root)]))
        except SystemExit as exit:
            code = exit.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return command


def only(workspace: Workspace) -> Experiment:
    (experiment,) = list_experiments(workspace)
    return experiment


def test_without_more_ado_it_is_teacher_forcing_against_rollout(typed, workspace, trained):
    code, out, err = typed("ab", "demo")
    assert (code, err) == (0, [])
    assert trained == ["teacher-forced", "rollout"]
    assert out[0] == f"experiment folder: {workspace.experiments_dir / 'demo-ab'}"
    assert out[1] == "2 trainings: 2 arms; the verdict is on v_end"
    assert out[2:4] == [f"  teacher-forced: {K} = 0, not 3", "  rollout: as configured"]
    assert out[-1] == "done: all arms are done"


def test_a_rollout_that_is_too_long_is_one_more_arm(typed, trained):
    assert typed("ab", "demo", "--too-long")[0] == 0
    assert trained == ["teacher-forced", "rollout", "too-long"]


def test_arms_seeds_primary_score_and_name_are_as_typed(typed, workspace, trained):
    arms = ("teacher-forced", "rollout", "placebo")
    options = [word for name in arms for word in ("--arm", name)]
    code, out, _ = typed("ab", "demo", *options, "--seeds", "2", "--primary", "nearest", "--name", "My cats")
    assert code == 0
    experiment = only(workspace)
    assert (experiment.title, experiment.primary, experiment.seeds) == ("My cats", "nearest", (42, 43))
    assert trained == [f"{name}-s{seed}" for seed in (42, 43) for name in arms]
    assert out[1] == "6 trainings: 3 arms at each of 2 seeds; the verdict is on nearest"
    assert "  placebo: placebo_of = 'rollout-s42', not unset" in out
    assert next(place for place, line in enumerate(out) if "started" in line) > 4


def test_what_is_asked_for_wrongly_is_told_at_once_and_nothing_is_made(typed, workspace, trained):
    code, out, err = typed("ab", "demo", "--arm", "placebo", "--seeds", "0", "--primary", "beauty")
    assert (code, out, trained) == (1, [], [])
    assert all(word in "\n".join(err) for word in ("seeds must", "primary must", "arms must hold rollout"))
    assert list_experiments(workspace) == []


def test_help_lists_every_arm_and_every_score(typed):
    code, out, _ = typed("ab", "--help")
    assert code == 0
    text = " ".join(" ".join(out).replace("│", " ").split())
    for name, known in KNOWN_ARMS.items():
        assert f"{name}: {known.help}" in text
    assert ", ".join(SCORES) in text


def test_an_experiment_is_resumed_with_the_arms_that_are_not_done(typed, workspace, trained, failing):
    failing.add("rollout")
    assert typed("ab", "demo", "--too-long")[0] == 1
    experiment = only(workspace)
    assert [derive_state(row.run).label for row in experiment.arms] == ["done", "failed", "done"]
    for name in ("demo-ab", str(experiment.path)):
        trained.clear()
        assert typed("resume", name)[0] == 1
        assert trained == ["rollout"]
    failing.clear()
    code, out, _ = typed("resume", "demo-ab")
    assert (code, out[-1]) == (0, "done: all arms are done")
    assert json.loads(experiment.folder.status_path.read_text())["phase"] == "done"
