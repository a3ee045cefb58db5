"""Commands to a training that runs in another process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.__main__ import _guarded, app
from core.config.presets import load_preset
from core.runs.experiment import Experiment, create_experiment, experiment_state, kill_experiment, start_experiment
from core.runs.folder import RunFolder
from core.runs.process import kill_run, start_run, wait_for_end
from core.runs.records import Event, read_records
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace

HERE = Path(__file__).parents[1] / "runs"
PATIENCE = 60.0


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def typed(capsys, workspace):
    """``typed("stop", "demo")``: exit status, lines said, lines complained."""

    def command(*words: str) -> tuple[int, list[str], list[str]]:
        try:
            code = _guarded(lambda: app([*words, "--workspace", str(workspace.root)]))
        except SystemExit as exit:
            code = exit.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return command


@pytest.fixture
def train(workspace) -> Iterator[Callable[[str], RunFolder]]:
    """``train("stubborn")``: a run whose trainer, a process of its own, behaves so."""
    made = []

    def go(behaviour: str = "train") -> RunFolder:
        run = RunFolder.create(workspace.runs_dir, "demo", load_preset("demo").config)
        made.append(run)
        start_run(run, command=[sys.executable, str(HERE / "stub_trainer.py"), str(run.path), behaviour])
        return run

    yield go
    for run in made:
        kill_run(run)
        wait_for_end(run, PATIENCE)


@pytest.fixture
def experiment(workspace) -> Iterator[Experiment]:
    """An experiment whose first arm trains for ever."""
    made = create_experiment(workspace, "ab", load_preset("demo").config)
    first = made.arms[0].run.name
    start_experiment(made, command=[sys.executable, str(HERE / "stub_driver.py"), str(made.path), f"{first}=train"])
    yield made
    kill_experiment(made)
    wait_for_end(made.folder, PATIENCE)


def test_a_stop_waits_until_the_process_is_gone(typed, train):
    run = train()
    code, out, _ = typed("stop", "demo")
    assert (code, out) == (0, ["stopped: stopped and saved"])
    assert not derive_state(run).live


def test_a_stop_now_ends_even_what_ignores_everything(typed, train, until):
    run = train("stubborn")
    until(lambda: read_status(run).message.isdigit())
    code, out, _ = typed("stop", "demo", "--now")
    assert code == 0
    assert out[0].startswith("stopped: ")
    assert [event.details["signal"] for event in read_records(Event, run.events_path) if event.kind == "signal"] == [
        "SIGKILL"
    ]


def test_a_stop_says_which_signal_it_sent(typed, train, until, monkeypatch):
    monkeypatch.setattr("core.runs.escalation.GRACE_SECONDS", 0.2)
    run = train("stubborn")
    until(lambda: read_status(run).message.isdigit())
    run.stop_path.write_text("\n")  # somebody touched it: the usual grace, which this test shortens
    code, out, _ = typed("stop", "demo")
    assert code == 0
    assert any("interrupt sent; terminate in " in line for line in out)
    assert any("terminate sent; kill in " in line for line in out)
    assert out[-1].startswith("stopped: ")


def test_pause_save_draw_and_go_on_say_what_was_done(typed, train, until):
    run = train()
    until(lambda: read_status(run).step > 0)
    code, out, _ = typed("pause", "demo")
    step = read_status(run).step
    assert (code, out) == (0, [f"paused after step {step}"])
    assert typed("status", "demo")[1] == [f"{'demo':40} {'paused':9} {step}/100000  paused after step {step}"]
    assert typed("save", "demo")[1] == [f"save at step {step}"]
    assert typed("sample-now", "demo")[1] == [f"sample at step {step}"]
    assert read_status(run).step == step
    assert typed("resume", "demo")[1] == ["demo goes on"]
    until(lambda: read_status(run).step > step)
    assert derive_state(run).label == "running"


def test_of_an_experiment_the_arm_that_trains_is_meant(typed, experiment, until):
    arm = experiment.arms[0].run
    until(lambda: read_status(arm).step > 0)
    assert typed("pause", "ab")[1] == [f"paused after step {read_status(arm).step}"]
    assert experiment_state(experiment).label == "paused"
    assert typed("save", str(experiment.path))[1] == [f"save at step {read_status(arm).step}"]
    assert typed("resume", "ab")[1] == [f"{arm.name} goes on"]
    code, out, _ = typed("status", "ab")
    assert code == 0
    assert [line.split()[0] for line in out] == [f"ab/{each.run.name}" for each in experiment.arms]
    assert typed("stop", "ab")[0] == 0
    assert experiment_state(experiment).label == "stopped"
    for command in ("pause", "save", "sample-now"):
        code, _, err = typed(command, "ab")
        assert code == 1
        assert err == [
            'error: experiment must have an arm in training, got "ab", of which none is trained now'
        ]  # fmt: skip


@pytest.mark.parametrize("command", ["pause", "save", "sample-now"])
def test_what_does_not_run_is_refused_in_a_sentence(typed, workspace, command):
    RunFolder.create(workspace.runs_dir, "demo", load_preset("demo").config)
    code, out, err = typed(command, "demo")
    assert (code, out) == (1, [])
    assert err[0].endswith('must be in progress, got "demo", which is queued')
