"""A workspace, a config, stub trainers that are real processes, and patience."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.config.flat import parse_config
from core.config.run import RunConfig
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.workspace import Workspace

STUB = Path(__file__).with_name("stub_trainer.py")


@pytest.fixture
def config() -> RunConfig:
    """A config whose rollout is on."""
    return parse_config(
        {
            "pretrained_model_name_or_path": "embedded",
            "instance_data_dir": "pictures",
            "instance_prompt": "a photo of sks cat",
            "scheduled_sampling_max_step_offset": 3,
            "scheduled_sampling_stride": 20,
            "scheduled_sampling_probability": 0.5,
        }
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace; what a test launched in it and left alive is ended."""
    workspace = Workspace(tmp_path / "workspace")
    yield workspace
    for path in workspace.root.rglob("process.json"):
        identity = read_identity(path)
        if identity is not None and identity.alive():
            os.killpg(identity.pid, signal.SIGKILL)


@pytest.fixture
def run(workspace: Workspace, config: RunConfig) -> RunFolder:
    """A run that was not started."""
    return RunFolder.create(workspace.runs_dir, "demo", config)


@pytest.fixture
def stub() -> Callable[[RunFolder, str], list[str]]:
    """The command of a stub trainer: ``stub(run, behaviour)``."""
    return lambda run, behaviour: [sys.executable, str(STUB), str(run.path), behaviour]
