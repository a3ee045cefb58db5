"""Runs of a tiny random base model in this process. Import the fixtures into a conftest or a test module."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from PIL import Image
from safetensors.torch import load_file
from tiny_checkpoint import KINDS, save_checkpoint

from core.config.flat import parse_config
from core.runs import journal
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import read_records
from core.training import dry_run
from core.training.run import train

SIDE = 16
SCORED = {"drift_samples": 2, "validation_num_inference_steps": 5}
"""Options of a run that is measured quickly."""
ADAPTER = "pytorch_lora_weights.safetensors"


def save_picture(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """A smooth random picture."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def save_mask(path: Path, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """The left half white, the right half black."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    mask.save(path)
    return path


def reset_accelerate() -> None:
    """Forgets the precision and the accumulation of the last run; a process of its own would begin like this."""
    PartialState._reset_state()
    AcceleratorState._reset_state()
    GradientState._reset_state()


@pytest.fixture(scope="session")
def bases(tmp_path_factory) -> dict[str, Path]:
    """A base model of each kind, with equal weights."""
    folder = tmp_path_factory.mktemp("bases")
    return {kind: save_checkpoint(folder / kind, kind) for kind in KINDS}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Four pictures, one of them with a caption, one of them wide."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        save_picture(folder / f"{seed}.png", seed)
    save_picture(folder / "wide.png", 3, (40, SIDE))
    (folder / "1.txt").write_text("a red sks cat", encoding="utf-8")
    return folder


@pytest.fixture
def one_thread():
    """See ``alone``."""
    with alone():
        yield


@contextmanager
def alone() -> Iterator[None]:
    """One thread, a fresh accelerate, a short dry run; what a training does to the global generator is undone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    reset_accelerate()
    with torch.random.fork_rng(devices=[]), patch.multiple(dry_run, WARM_UP=1, ROUNDS=(1, 1)):
        yield
    reset_accelerate()
    torch.set_num_threads(threads)


@pytest.fixture
def config(bases, pictures) -> Callable:
    """``config(**flat)``: a short training of the tiny v-prediction model; ``base`` picks another kind or folder."""
    return partial(tiny_config, bases, pictures)


def tiny_config(bases, pictures, base: str | Path = "v_prediction", **changes):
    """A short training, the changes made."""
    values = {
        "pretrained_model_name_or_path": str(bases.get(base, base)),
        "instance_data_dir": str(pictures),
        "instance_prompt": "a sks cat",
        "resolution": SIDE,
        "train_batch_size": 2,
        "learning_rate": 1e-2,
        "max_train_steps": 3,
        "checkpointing_steps": 0,
        "validation_steps": 0,
        "validation_num_inference_steps": 5,
        "drift_pairs": 0,
        "drift_samples": 0,
        "num_class_images": 2,
        "rank": 2,
        "lora_alpha": 2.0,
    }
    return parse_config({**values, **changes})


ROLLOUT = {
    "scheduled_sampling_max_step_offset": 3,
    "scheduled_sampling_stride": 40,
    "scheduled_sampling_probability": 1.0,
}


@pytest.fixture
def runs_dir(tmp_path) -> Path:
    """The runs of an empty workspace."""
    return tmp_path / "workspace" / "runs"


@pytest.fixture
def trained(one_thread, config, runs_dir) -> Callable[..., RunFolder]:
    """``trained(name, **flat)``: makes a run folder and trains it."""

    def go(name: str = "run", base: str | Path = "v_prediction", **changes) -> RunFolder:
        folder = RunFolder.create(runs_dir, name, config(base, **changes))
        run(folder)
        return folder

    return go


def run(folder: RunFolder, *, resume: bool = False) -> None:
    """Trains as a process of its own would."""
    reset_accelerate()
    train(folder, resume=resume)


def resume_from_the_middle(folder: RunFolder) -> None:
    """Takes the end of a finished run of three steps away and lets it go on from the second, which it kept."""
    shutil.rmtree(folder.adapter_dir)
    shutil.rmtree(folder.checkpoints_dir / "step-000003")
    run(folder, resume=True)


def adapter(folder: RunFolder) -> dict[str, torch.Tensor]:
    """The final LoRA."""
    return load_file(folder.adapter_dir / ADAPTER)


def metrics(folder: RunFolder) -> list[dict]:
    """The step records."""
    return journal.read_all(folder.metrics_path)


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def drift(run: RunFolder) -> list[DriftRecord]:
    """The drift records."""
    return read_records(DriftRecord, run.drift_path)


def same_numbers(one: DriftRecord, other: DriftRecord) -> bool:
    """Whether two records are equal but for the time that they took; NaN equals NaN."""
    rows = [json.dumps(replace(record, seconds=0.0).to_dict(), sort_keys=True) for record in (one, other)]
    return rows[0] == rows[1]
