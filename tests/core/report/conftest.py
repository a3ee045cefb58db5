"""Scores by hand, and an experiment that nobody trained."""

from pathlib import Path

import pytest
from fabricated import make_experiment

from core.evaluation.verdict import RunScores
from core.plots import PLOTS
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace


@pytest.fixture
def scored():
    """``scored(differences)``: a reference and a rollout run for each difference of V, seeds from 42."""

    def make(differences, **values) -> list[RunScores]:
        runs = []
        for seed, difference in enumerate(differences, start=42):
            for arm, label, moved in (("teacher-forced", "Teacher-forced", 0.0), ("rollout", "Rollout", difference)):
                scores = {"v_end": -0.1 + moved, "diversity": 0.8 + moved, **values}
                run = RunFolder(Path("/nowhere") / f"{arm}-s{seed}")
                runs.append(RunScores(arm, label, seed, run, 600, scores, 12.5, 1800.0, 2400.0, 9000.0, None))
        return runs

    return make


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """A workspace of the session; tests don't change what is in it."""
    return Workspace(tmp_path_factory.mktemp("report") / "workspace")


@pytest.fixture(scope="session")
def experiment(workspace):
    """Two arms of three seeds, done."""
    return make_experiment(workspace, "Orange cat", seeds=3)


@pytest.fixture
def few_plots(monkeypatch):
    """One plot in place of all, which take seconds."""
    monkeypatch.setattr("core.report.plots.PLOTS", {"loss": PLOTS["loss"]})
