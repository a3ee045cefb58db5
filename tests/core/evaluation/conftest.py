"""Shares the tiny base models, their runs, and a finished one to measure."""

import shutil

import pytest
from tiny_runs import SCORED, alone, bases, config, one_thread, pictures, runs_dir, tiny_config, trained
from tiny_runs import run as train

from core.runs.folder import RunFolder

__all__ = ["bases", "config", "one_thread", "pictures", "runs_dir", "trained"]


@pytest.fixture(scope="module")
def finished(bases, pictures, tmp_path_factory) -> RunFolder:
    with alone():
        runs_dir = tmp_path_factory.mktemp("workspace") / "runs"
        folder = RunFolder.create(runs_dir, "run", tiny_config(bases, pictures, **SCORED))
        train(folder)
    return folder


@pytest.fixture
def run(finished, one_thread, runs_dir) -> RunFolder:
    """A finished run of its own for every test."""
    return RunFolder(shutil.copytree(finished.path, runs_dir / "run"))
