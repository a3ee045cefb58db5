"""A whole training as people start it: processes of their own, the tiny base model, exit statuses."""

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A base model, four pictures, a config file, and an empty workspace."""
    folder = tmp_path_factory.mktemp("process")
    runpy.run_path(str(SUPPORT / "tiny_checkpoint.py"))["save_checkpoint"](folder / "base")
    (folder / "pictures").mkdir()
    for index in range(4):
        Image.new("RGB", (16, 16), (60 * index, 120, 200)).save(folder / "pictures" / f"{index}.png")
    values = {
        "pretrained_model_name_or_path": str(folder / "base"),
        "instance_data_dir": str(folder / "pictures"),
        "instance_prompt": "a sks cat",
        "with_prior_preservation": False,
        "resolution": 16,
        "train_batch_size": 2,
        "max_train_steps": 4,
        "checkpointing_steps": 2,
        "validation_prompts": ["a sks cat"],
        "num_validation_images": 1,
        "validation_steps": 2,
        "validation_num_inference_steps": 3,
        "drift_pairs": 2,
        "scheduled_sampling_max_step_offset": 2,
        "scheduled_sampling_stride": 50,
        "scheduled_sampling_probability": 1.0,
    }
    (folder / "tiny.json").write_text(json.dumps(values))
    return folder


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "ROLLOUT_WORKSPACE": str(place / "workspace"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def typed(place: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "core", *words], cwd=ROOT, env=environment(place), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_training_from_its_command_to_its_pictures(place):
    done = typed(place, "train", str(place / "tiny.json"))
    assert done.returncode == 0, done.stderr
    run = place / "workspace" / "runs" / "tiny"
    assert str(run) in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1] == "done: 4 steps, adapter saved"
    assert "Traceback" not in done.stderr
    assert steps(run) == [1, 2, 3, 4]
    assert sorted(path.name for path in run.iterdir()) == [
        "adapter", "checkpoints", "config.json", "cost.json", "drift.jsonl", "env.json", "facts.json", "manifest.json",
        "metrics.jsonl",
        "run.json", "samples", "status.json",
    ]  # fmt: skip
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-000002", "step-000004"]
    assert len(list((run / "samples").rglob("*.png"))) == 3
    assert json.loads((run / "status.json").read_text())["phase"] == "done"
    assert json.loads((run / "env.json").read_text())["packages"]["torch"]

    drawn = typed(place, "sample", "tiny", "--prompt", "a sks cat", "--count", "1")
    assert drawn.returncode == 0, drawn.stderr
    (path,) = drawn.stdout.splitlines()
    assert Image.open(path).size == (16, 16)


def test_bad_input_is_exit_two_without_a_traceback(place):
    bad = typed(place, "train", str(place / "tiny.json"), "--set", "scheduled_sampling_probability=1.5")
    assert bad.returncode == 2
    assert bad.stderr == "error: scheduled_sampling_probability must be between 0 and 1, got 1.5\n"


def test_the_first_ctrl_c_saves_says_so_and_loses_no_step(place):
    words = ["train", str(place / "tiny.json"), "--name", "long", "--set", "max_train_steps=100000"]
    run = place / "workspace" / "runs" / "long"
    process = subprocess.Popen(
        [sys.executable, "-m", "core", *words, "--set", "validation_steps=0"], cwd=ROOT, env=environment(place),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while not (run / "checkpoints" / "step-000004").is_dir() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(2)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in err
    assert "saving; Ctrl-C again ends at once" in err
    assert out.splitlines()[-1] == "stopped: stopped on request"
    assert process.returncode == 130
    status = json.loads((run / "status.json").read_text())
    assert status["phase"] == "stopped"
    assert status["step"] >= 4
    assert steps(run)[-1] == status["step"]
    assert (run / "checkpoints" / f"step-{status['step']:06d}").is_dir()
