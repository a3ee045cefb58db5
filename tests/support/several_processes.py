"""Trainings of several real processes beside those of one, and the files of accelerate's that they are launched with.

Import the fixtures into a conftest or a test module.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from torch import Tensor

from core.config import deepspeed
from core.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
IN_PROPORTION = {"adam_epsilon": 1.0, "learning_rate": 0.1}
"""With a large epsilon a step is proportional to its gradient: Adam would blow the rounding of tiny ones up."""


def launched(folder: RunFolder, verb: str = "run") -> None:
    """Trains a run by its own processes; one that waits for ever for the other ends the test."""
    command = [sys.executable, "-m", "core", verb, str(folder.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def apart(alone: Mapping[str, Tensor], together: Mapping[str, Tensor], part: str = "") -> float:
    """The largest difference of two adapters, or of one part of them, as a share of the largest movement."""
    names = [name for name in alone if name.startswith(part)]
    moved = max(alone[name].abs().max().item() for name in names if "lora_B" in name)  # from zero
    return max((together[name] - alone[name]).abs().max().item() for name in names) / moved


@pytest.fixture
def written(tmp_path) -> Callable[[str], str]:
    """``written(text)``: the path of a file of accelerate's."""

    def write(text: str) -> str:
        (tmp_path / "accelerate.yaml").write_text(text)
        return str(tmp_path / "accelerate.yaml")

    return write


@pytest.fixture
def installed(monkeypatch) -> None:
    """As if DeepSpeed were there."""
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: object())
