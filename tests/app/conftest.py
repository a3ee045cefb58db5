"""A workspace with fabricated trainings, and a folder of somebody's pictures."""

from pathlib import Path

import pytest
from PIL import Image

from app.page import assemble
from app.paths import AllowedPaths
from app.workbench import Workbench
from core.config.presets import load_preset
from core.config.run import RunConfig
from core.runs.experiment import Experiment
from core.runs.workspace import Workspace
from tests.support.fabricated import make_experiment
from tests.support.inspections import write_safetensors


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    made.check_writable()
    return made


@pytest.fixture
def workbench(workspace, tmp_path) -> Workbench:
    return Workbench(workspace, AllowedPaths(workspace.root, [tmp_path]))


@pytest.fixture
def experiment(workspace) -> Experiment:
    return make_experiment(workspace)


@pytest.fixture
def demo() -> RunConfig:
    return load_preset("demo").config


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "my cat"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (80, 64 if number else 20), "orange").save(folder / f"cat {number}.png")
    (folder / "cat 1.txt").write_text("a sks cat asleep")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    return folder


@pytest.fixture(scope="session")
def assembled(tmp_path_factory):
    """One page for all tests: it holds no truth of its own, so another workspace can be put under it."""
    return assemble(Workbench(Workspace(tmp_path_factory.mktemp("workspace"))))


@pytest.fixture
def page(assembled):
    return assembled[0]


@pytest.fixture
def parts(assembled, workbench):
    assembled[1].workbench = workbench
    return assembled[1]


@pytest.fixture
def trained(experiment):
    """An arm that has a LoRA."""
    run = experiment.arms[1].run
    run.adapter_dir.mkdir()
    write_safetensors(run.adapter_dir / "pytorch_lora_weights.safetensors")
    return run
