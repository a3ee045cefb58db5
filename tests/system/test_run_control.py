"""Run control over real trainers: processes of their own, the tiny base model, real signals, what people type."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from core.config.paths import PROJECT_ROOT
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.process import kill_run, request_stop, start_run, stop_run, wait_for_end
from core.runs.records import Event, read_records
from core.runs.requests import continue_run, pause_run, request_sample, request_save
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace
from tests.support.patience import until

SUPPORT = PROJECT_ROOT / "tests" / "support"
PATIENCE = 120.0
SIDE = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return runpy.run_path(str(SUPPORT / "tiny_checkpoint.py"))["save_checkpoint"](
        tmp_path_factory.mktemp("base") / "it"
    )


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """What children inherit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def workspace(tmp_path) -> Iterator[Workspace]:
    """An empty workspace; what was launched in it and left alive is ended."""
    made = Workspace(tmp_path / "workspace")
    yield made
    for path in made.root.rglob("process.json"):
        identity = read_identity(path)
        if identity is not None and identity.alive():
            os.killpg(identity.pid, signal.SIGKILL)


@pytest.fixture
def make(base, workspace, tmp_path) -> Callable[..., RunFolder]:
    """``make(name, pictures=4, **flat)``: a run of the tiny model that was not started."""
    from core.config.flat import parse_config

    def go(name: str, pictures: int = 4, **changes) -> RunFolder:
        folder = tmp_path / f"pictures-{pictures}"
        folder.mkdir(exist_ok=True)
        for index in range(pictures):
            path = folder / f"{index}.png"
            if not path.exists():
                Image.new("RGB", (SIDE, SIDE), (index % 250, 120, 200)).save(path)
        values = {
            "pretrained_model_name_or_path": str(base), "instance_data_dir": str(folder),
            "instance_prompt": "a sks cat", "with_prior_preservation": False, "resolution": SIDE,
            "train_batch_size": 2, "max_train_steps": 12, "checkpointing_steps": 0, "validation_steps": 0,
            "validation_num_inference_steps": 3, "drift_pairs": 0, "drift_samples": 0,
        }  # fmt: skip
        return RunFolder.create(workspace.runs_dir, name, parse_config({**values, **changes}))

    return go


def doing(run: RunFolder, phase: str, words: str = "") -> Callable[[], bool]:
    def look() -> bool:
        state = derive_state(run)
        assert not state.final, f"{state.label}: {state.message}"
        return state.status.phase == phase and words in state.status.message

    return look


def typed(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "core", *words], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip


def result(run: RunFolder) -> tuple[dict, dict]:
    """The final adapter's tensors and the last checkpoint's optimizer tensors."""
    last = max(run.checkpoints_dir.glob("step-*"))
    return load_file(run.adapter_dir / "pytorch_lora_weights.safetensors"), load_file(last / "optimizer.safetensors")


def same_bits(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def paused_killed_resumed(run: RunFolder) -> None:
    """Pauses a run at its start, lets it take a step, pauses it again, kills it in its pause, and resumes it."""
    start_run(run)
    pause_run(run)  # it waits for the first step; once a word of it is seen, it may have taken all of its steps
    until(lambda: derive_state(run).label == "paused")
    assert read_status(run).step == 0
    request_save(run)
    request_sample(run)
    until(lambda: not run.save_path.exists() and not run.sample_path.exists())
    continue_run(run)
    pause_run(run)
    until(lambda: derive_state(run).label == "paused")
    step = read_status(run).step
    identity = read_identity(run.process_path)
    assert identity is not None
    os.killpg(identity.pid, signal.SIGKILL)
    assert wait_for_end(run, PATIENCE).label == "failed"
    assert [line["step"] for line in journal.read_all(run.metrics_path)] == list(range(1, step + 1))
    assert step == 0 or (run.checkpoints_dir / f"step-{step:06d}" / "state.json").is_file()
    start_run(run, verb="resume" if step else "run")
    assert wait_for_end(run, PATIENCE).label == "done"
    assert [line["step"] for line in journal.read_all(run.metrics_path)] == list(range(1, 13))


def test_a_run_that_is_killed_while_paused_loses_no_step(make):
    paused_killed_resumed(make("disturbed"))


@pytest.mark.faults
def test_a_run_that_is_killed_while_paused_ends_bit_for_bit_as_if_nothing_had_been(make):
    straight, disturbed = (make(name, lora_dropout=0.3) for name in ("straight", "disturbed"))
    paused_killed_resumed(disturbed)
    assert typed("run", str(straight.path)).returncode == 0
    for mine, theirs in zip(result(disturbed), result(straight), strict=True):
        assert same_bits(mine, theirs)


@pytest.mark.faults
@pytest.mark.parametrize("asked", ["stop", "ctrl-c"])
def test_an_interrupt_after_a_request_to_stop_ends_at_once(make, asked):
    """While pictures are drawn, which a stop by request cuts off between two sampling steps."""
    run = make("long", **SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "run", str(run.path)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        until(doing(run, "sampling"))
        process.send_signal(signal.SIGSTOP)  # so that both of them are there when it looks again
        if asked == "stop":
            request_stop(run)
        else:
            process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert derive_state(run).label == "stopped"


MANY = 3000
"""Pictures, so that encoding them takes long enough to be stopped in it."""
SLOW = {"validation_prompts": ("a sks cat", "a dog"), "num_validation_images": 64, "validation_num_inference_steps": 50}
PHASES = {
    "libraries": ("loading", "libraries", {}),
    "weights": ("loading", "loading the base model", {}),
    "caching": ("caching", "encoding instance", {"pictures": MANY}),
    "class images": (
        "class_images", "drawing class",
        {"with_prior_preservation": True, "class_prompt": "a cat", "num_class_images": 500,
         "validation_num_inference_steps": 50},
    ),
    "measuring": (
        "loading", "measuring what a step takes",
        {"scheduled_sampling_max_step_offset": 3, "scheduled_sampling_stride": 50,
         "scheduled_sampling_probability": 1.0, "train_batch_size": 64},
    ),
    "training": ("training", "", {"max_train_steps": 100_000}),
    "sampling": ("sampling", "drawing pictures", SLOW),
    "drift": ("sampling", "measuring drift", {"drift_samples": 512, "validation_num_inference_steps": 50}),
}  # fmt: skip


@pytest.mark.parametrize("name", ["libraries", *(pytest.param(n, marks=pytest.mark.faults) for n in list(PHASES)[1:])])
def test_a_stop_works_in_every_phase(make, name):
    phase, words, changes = PHASES[name]
    run = make("run", **changes)
    start_run(run)
    identity = read_identity(run.process_path)
    assert identity is not None
    if name != "libraries":  # there it is asked before the process has said a word
        until(doing(run, phase, words))
    assert stop_run(run, grace=PATIENCE).label == "stopping"
    seen = set()
    while not (state := wait_for_end(run, 0.05)).final:
        seen.add(state.label)
        assert identity.alive()
    assert not identity.alive()
    assert seen <= {"stopping"}
    assert state.label == "stopped"
    assert [event for event in read_records(Event, run.events_path) if event.kind == "signal"] == []
    steps = [line["step"] for line in journal.read_all(run.metrics_path)]
    saved = sorted(path.name for path in run.checkpoints_dir.glob("step-*"))
    assert saved == ([f"step-{steps[-1]:06d}"] if steps else [])
    assert not run.adapter_dir.exists()


@pytest.mark.faults
def test_a_stop_while_the_last_adapter_is_saved_leaves_a_run_that_resumes(make):
    """A saving of the tiny model takes no time: the request is there before it begins."""
    run = make("run", max_train_steps=3)
    start_run(run)
    until(lambda: read_status(run).step == 3 or derive_state(run).final)
    stop_run(run, grace=PATIENCE)
    state = wait_for_end(run, PATIENCE)
    assert state.label in ("stopped", "done")
    if state.label == "stopped":
        start_run(run, verb="resume")
        assert wait_for_end(run, PATIENCE).label == "done"
    assert (run.adapter_dir / "pytorch_lora_weights.safetensors").is_file()


@pytest.mark.faults
def test_a_kill_works_while_paused_and_a_kill_by_command_too(make, workspace):
    run = make("run", max_train_steps=100_000)
    start_run(run)
    until(lambda: read_status(run).step > 0)
    pause_run(run)
    until(lambda: derive_state(run).label == "paused")
    kill_run(run)
    assert wait_for_end(run, PATIENCE).label == "stopped"
    start_run(run, verb="resume")
    until(lambda: derive_state(run).label == "running" and read_status(run).phase == "training")
    done = typed("stop", "run", "--now", "--workspace", str(workspace.root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stopped: ")
    assert derive_state(run).label == "stopped"


@pytest.mark.faults
def test_an_arm_of_an_experiment_is_paused_saved_drawn_and_goes_on_by_typing(make, workspace):
    from core.runs.experiment import create_experiment, experiment_state, kill_experiment, start_experiment

    single = make("single", max_train_steps=100_000, validation_prompts=("a sks cat",), num_validation_images=1,
                  scheduled_sampling_max_step_offset=2, scheduled_sampling_stride=50,
                  scheduled_sampling_probability=1.0)  # fmt: skip
    experiment = create_experiment(workspace, "ab", single.config())
    shutil.rmtree(single.path)
    start_experiment(experiment)
    arm, where = experiment.arms[0].run, ("ab", "--workspace", str(workspace.root))
    try:
        until(lambda: read_status(arm).step > 0)
        paused = typed("pause", *where)
        assert paused.returncode == 0, paused.stderr
        step = read_status(arm).step
        assert paused.stdout.strip() == f"paused after step {step}; step {step} is saved"
        assert experiment_state(experiment).label == "paused"
        assert typed("save", *where).stdout.strip() == f"step {step} is saved"
        assert typed("sample-now", *where).stdout.strip() == f"the pictures of step {step} are drawn"
        assert len(list((arm.samples_dir / f"step-{step:06d}").iterdir())) == 1
        assert derive_state(arm).label == "paused"
        assert typed("resume", *where).stdout.strip() == f"{arm.name} goes on"
        until(lambda: read_status(arm).step > step)
        assert experiment_state(experiment).label == "running"
    finally:
        kill_experiment(experiment)
    until(lambda: experiment_state(experiment).final)
