"""One finished run of the tiny base model for all tests: its alpha is not its rank, and all layers have a LoRA."""

import shutil
from pathlib import Path

import pytest
from tiny_runs import alone, bases, one_thread, pictures, tiny_config
from tiny_runs import run as train
from typed_commands import typed

from core.runs.folder import RunFolder

__all__ = ["bases", "one_thread", "pictures", "typed"]

TRAINED = {
    "rank": 2,
    "lora_alpha": 3.0,
    "lora_targets": "all",
    "instance_prompt": 'a "sks" cat',
    "validation_prompts": ("a sks cat", "a sks cat | asleep"),
    "num_validation_images": 2,
    "validation_num_inference_steps": 3,
    "learning_rate": 0.1,
}
ROLLOUT = {"scheduled_sampling_max_step_offset": 2, "scheduled_sampling_probability": 1.0}


@pytest.fixture(scope="session")
def finished(bases, pictures, tmp_path_factory) -> RunFolder:
    """A run that nobody changes; its base model and pictures lie in somebody's home."""
    home = tmp_path_factory.mktemp("home") / "secretuser"
    base = Path(shutil.copytree(bases["v_prediction"], home / "models" / "my base"))
    config = tiny_config(bases, pictures, base, **TRAINED, **ROLLOUT)
    with alone():
        folder = RunFolder.create(home / "workspace" / "runs", "My cat", config)
        train(folder)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> RunFolder:
    """A copy of it, in the workspace of ``typed``."""
    return RunFolder(shutil.copytree(finished.path, tmp_path / "workspace" / "runs" / "my-cat"))
