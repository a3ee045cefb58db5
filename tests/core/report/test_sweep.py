"""The report of a sweep: it ranks, and does not ask whether rollout helped."""

import json

import pytest
from fabricated import changed, finish, write_probe, write_steps

from core.__main__ import _guarded, app
from core.config.presets import load_preset
from core.report.judged import judge_experiment
from core.runs.experiment import create_experiment
from core.runs.sweep import read_grid, sweep_arms
from core.runs.workspace import Workspace

VALUES = {"teacher-forced": -0.2, "mso1": -0.1, "rank16": -0.4}


@pytest.fixture
def sweep(tmp_path):
    """Three arms of two seeds, done."""
    config = changed(load_preset("demo").config, max_train_steps=30)
    arms = sweep_arms(config, [*read_grid(["scheduled_sampling_max_step_offset=1"]), *read_grid(["rank=16"])])
    made = create_experiment(Workspace(tmp_path), "lengths", config, arms, seeds=2, any_option=True)
    for row in made.arms:
        write_steps(row.run, 30, rolled=3 if row.arm == "mso1" else 0)
        write_probe(row.run, 30, VALUES[row.arm] + 0.01 * row.seed)
        finish(row.run)
    return made


@pytest.mark.usefixtures("few_plots")
def test_page_and_command_rank_the_arms(sweep, tmp_path, capsys):
    with pytest.raises(SystemExit):
        _guarded(lambda: app(["report", str(sweep.path), "--out", str(tmp_path / "out")]))
    said = capsys.readouterr().out
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    for text in (said, page):
        assert "No verdict: a sweep declares no one comparison." in text
        assert "did rollout help" not in text
        places = [text.index(place) for place in ("neither end is better by itself", "Place", "Uncertainty")]
        assert places == sorted(places)
    assert "<h1>lengths: which settings score best?" in page
    assert "A sweep declares no one comparison and gets no verdict" in page.replace("&#x27;", "'")
    facts = json.loads((tmp_path / "out" / "data" / "judgement.json").read_text(encoding="utf-8"))
    assert [place["arm"] for place in facts["ranking"]] == ["rank16", "teacher-forced", "mso1"]


def test_at_equal_compute_the_reference_sets_the_budget(sweep):
    runs = {run.arm: run for run in judge_experiment(sweep, "compute").runs if run.seed == sweep.seeds[0]}
    assert runs["teacher-forced"].step == 30
    assert not any("rollout" in problem for run in runs.values() for problem in run.problems)
    assert any("within the compute that teacher-forced spent" in problem for problem in runs["mso1"].problems)
