"""Which command trains a run of several processes."""

import sys

import pytest
from tiny_runs import bases, config, pictures, runs_dir

from core.config.launching import launch_problems
from core.runs.failure import read_failure, write_failure
from core.runs.folder import RunFolder
from core.runs.processes import MARK, is_launched, launch_command
from core.runs.status import Status, derive_state, write_status

__all__ = ["bases", "config", "pictures", "runs_dir"]

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"


@pytest.fixture(autouse=True)
def unlaunched(monkeypatch):
    for name in ("RANK", MARK):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> str:
        (tmp_path / "accelerate.yaml").write_text(text)
        return str(tmp_path / "accelerate.yaml")

    return write


def following(command: list[str], word: str) -> str:
    return command[command.index(word) + 1]


def test_one_process_needs_no_launcher(config, runs_dir):
    assert launch_command(RunFolder.create(runs_dir, "run", config()), "run") is None


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_several_processes_are_the_same_command_under_accelerate(config, runs_dir, verb):
    folder = RunFolder.create(runs_dir, "run", config(num_processes=3))
    command = launch_command(folder, verb)
    assert command[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert command[-4:] == ["--module", "core", verb, str(folder.path)]
    assert "--multi_gpu" in command
    assert following(command, "--num_processes") == "3"


@pytest.mark.parametrize("name", ["RANK", MARK])
def test_a_launched_process_launches_nothing(config, runs_dir, monkeypatch, name):
    folder = RunFolder.create(runs_dir, "run", config(num_processes=3))
    monkeypatch.setenv(name, "1")
    assert is_launched()
    assert launch_command(folder, "run") is None


def test_accelerates_own_file_is_frozen_into_the_run(config, runs_dir, written):
    path = written(GOOD)
    chosen = config(num_processes=2, accelerate_config_path=path)
    assert launch_problems(chosen) == []
    folder = RunFolder.create(runs_dir, "run", chosen)
    written("another")
    assert folder.accelerate_path.read_text() == GOOD
    command = launch_command(folder, "run")
    assert following(command, "--config_file") == str(folder.accelerate_path)
    assert "--multi_gpu" not in command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("MULTI_GPU", "FSDP"), "distributed_type NO, MULTI_CPU or MULTI_GPU, got FSDP"),
        (GOOD.replace("MULTI_GPU", "DEEPSPEED"), "got DEEPSPEED"),
        (GOOD.replace("num_processes: 2", "num_processes: 4"), "num_processes = 2 as the option, or -1, got 4"),
        (GOOD + "mixed_precision: fp8\n", "mixed_precision = no as the option"),
        ("- a list\n", "it has no distributed_type"),
        ("{", "it is no YAML"),
        (None, "must be a readable file, got an error: no such file"),
    ],
)
def test_a_file_that_cannot_be_honoured_is_refused(config, written, tmp_path, text, words):
    path = str(tmp_path / "missing.yaml") if text is None else written(text)
    (problem,) = launch_problems(config(num_processes=2, accelerate_config_path=path))
    assert problem.option == "accelerate_config_path"
    assert words in problem.message


def test_all_that_is_wrong_with_the_file_is_said_at_once(config, written):
    text = GOOD.replace("MULTI_GPU", "FSDP") + "mixed_precision: bf16\n"
    assert len(launch_problems(config(num_processes=3, accelerate_config_path=written(text)))) == 3


def test_a_bare_no_in_yaml_is_the_precision_no(config, written):
    path = written(GOOD + "mixed_precision: no\n")
    assert launch_problems(config(num_processes=2, accelerate_config_path=path)) == []


def test_the_word_of_another_process_is_why_the_run_failed(config, runs_dir):
    folder = RunFolder.create(runs_dir, "run", config())
    write_status(folder, Status(phase="training", step=2, heartbeat=1.0))
    assert derive_state(folder).label == "lost"
    write_failure(folder, 1, "the loss must be a number", "lower learning_rate")
    write_failure(folder, 2, "a later one", None)
    assert read_failure(folder).error == "process 1 failed: the loss must be a number"
    state = derive_state(folder)
    assert (state.label, state.hint) == ("failed", "lower learning_rate")
    assert state.message == "process 1 failed: the loss must be a number"
