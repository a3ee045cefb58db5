"""Processes that train one run together: an end of one is an end of all, with a sentence, and nobody waits for ever."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from patience import PATIENCE, until
from several_processes import IN_PROPORTION, apart
from tiny_runs import ROLLOUT, adapter, bases, config, metrics, one_thread, pictures, run, runs_dir, same_bits

from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.process import kill_run, request_stop, start_run, wait_for_end
from core.runs.requests import pause_run, request_save
from core.runs.status import derive_state, read_status

__all__ = ["bases", "config", "one_thread", "pictures", "runs_dir"]
pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
LONG = {"max_train_steps": 5000, "num_processes": 2, "checkpointing_steps": 0}


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def hooked(folder: RunFolder, **hook: str) -> list[str]:
    """The command of two processes, one of which has a hook."""
    words = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    given = [f"{name}={value}" for name, value in {**hook, "PYTHONPATH": f"{ROOT}:{SUPPORT}"}.items()]
    return [
        "env", *given, sys.executable, "-m", "accelerate.commands.launch", *words, "--module", "hooked_core", "run",
        str(folder.path),
    ]  # fmt: skip


def trains(folder: RunFolder) -> bool:
    return read_status(folder).step > 2


def workers(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if "core" in child.cmdline()]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_fails_ends_the_others_and_is_heard(config, runs_dir, rank):
    folder = RunFolder.create(runs_dir, "run", config(**LONG))
    start_run(folder, command=hooked(folder, HOOK="raise", HOOK_RANK=rank, HOOK_STEP="3"))
    state = wait_for_end(folder, PATIENCE)
    assert state.label == "failed"
    assert "the hook was pulled" in state.message
    assert state.message.startswith("process 1 failed") == (rank == "1")


@pytest.mark.parametrize("split", [False, True], ids=["whole", "sharded"])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_is_killed_ends_the_others(config, runs_dir, tmp_path, rank, split):
    file = tmp_path / "fsdp.yaml"
    file.write_text("distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\n")
    folder = RunFolder.create(runs_dir, "run", config(**LONG, accelerate_config_path=str(file) if split else None))
    start_run(folder, command=hooked(folder, HOOK="kill", HOOK_RANK=rank, HOOK_STEP="3"))
    assert wait_for_end(folder, PATIENCE).label == "failed"


def test_no_process_trains_on_when_the_launcher_is_killed(config, runs_dir):
    folder = RunFolder.create(runs_dir, "run", config(**LONG))
    pid = start_run(folder)
    until(lambda: trains(folder))
    both = workers(pid)
    assert len(both) == 2
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs(both, timeout=PATIENCE)
    assert [process for process in both if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


def test_ending_at_once_leaves_no_process(config, runs_dir):
    folder = RunFolder.create(runs_dir, "run", config(**LONG))
    pid = start_run(folder)
    until(lambda: trains(folder))
    both = workers(pid)
    kill_run(folder)
    assert wait_for_end(folder, PATIENCE).label == "stopped"
    psutil.wait_procs(both, timeout=PATIENCE)
    assert [process for process in both if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


def test_save_pause_and_stop_are_heeded_by_all_and_the_resumed_run_is_the_undisturbed_one(config, runs_dir):
    given = {**ROLLOUT, "num_processes": 2, "max_train_steps": 60, "checkpointing_steps": 0}
    whole = RunFolder.create(runs_dir, "whole", config(**given))
    start_run(whole)
    assert wait_for_end(whole, PATIENCE).label == "done"
    cut = RunFolder.create(runs_dir, "cut", config(**given))
    start_run(cut)
    until(lambda: trains(cut))
    pause_run(cut)
    until(lambda: derive_state(cut).label == "paused")
    request_save(cut)
    until(lambda: any(row["kind"] == "save" for row in journal.read_all(cut.events_path)))
    request_stop(cut)
    assert wait_for_end(cut, PATIENCE).label == "stopped"
    assert 0 < read_status(cut).step < 60
    start_run(cut, verb="resume")
    assert wait_for_end(cut, PATIENCE).label == "done"
    assert same_bits(adapter(cut), adapter(whole))


def test_two_machines_train_what_one_process_does(one_thread, config, runs_dir):
    """The commands of docs/several-devices.md, both on this machine."""
    given = {**ROLLOUT, **IN_PROPORTION}
    one = RunFolder.create(runs_dir, "one", config(train_batch_size=4, **given))
    run(one)
    two = RunFolder.create(runs_dir, "two", config(train_batch_size=2, **given))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machines = [
        subprocess.Popen(
            [
                sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "2",
                "--num_processes", "2", "--machine_rank", str(rank), "--main_process_ip", "127.0.0.1",
                "--main_process_port", str(port), "--module", "core", "run", str(two.path),
            ],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [machine.wait(2 * PATIENCE) for machine in machines] == [0, 0]
    assert {line["items"] for line in metrics(two)} == {4}
    assert apart(adapter(one), adapter(two)) < 1e-4


MODULES = {"accelerate": "accelerate.commands.accelerate_cli", "torchrun": "torch.distributed.run"}


@pytest.mark.parametrize("launcher", MODULES)
def test_a_launcher_of_ones_own_trains_what_one_process_does(launcher, one_thread, config, runs_dir):
    """The lines of docs/several-devices.md as they stand there."""
    page = (ROOT / "docs" / "several-devices.md").read_text(encoding="utf-8")
    (line,) = [row for row in page.splitlines() if row.startswith(launcher) and row.endswith("core run RUN")]
    given = {**ROLLOUT, **IN_PROPORTION}
    one = RunFolder.create(runs_dir, "one", config(train_batch_size=4, **given))
    run(one)
    two = RunFolder.create(runs_dir, "two", config(train_batch_size=2, **given))
    words = [str(two.path) if word == "RUN" else word for word in shlex.split(line)[1:]]
    command = [sys.executable, "-m", MODULES[launcher], *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=4 * PATIENCE)
    assert [row["items"] for row in metrics(two)] == [row["items"] for row in metrics(one)]
    assert apart(adapter(one), adapter(two)) < 1e-4
