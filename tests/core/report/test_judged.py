"""An experiment is judged only where its arms differ as they declare."""

import json

import pytest
from fabricated import make_experiment

from core.report.judged import judge_experiment, undeclared
from core.runs.workspace import Workspace


@pytest.fixture
def own(tmp_path):
    """An experiment that a test may spoil."""
    return make_experiment(Workspace(tmp_path), seeds=2)


def test_arms_that_differ_as_declared_are_judged(experiment):
    judged = judge_experiment(experiment)
    assert undeclared(experiment.arms) == []
    assert judged.judgement.verdict.level == "exploratory"
    assert len(judged.runs) == 6


def test_another_difference_is_named_and_ends_the_verdict(own):
    path = own.arms[3].run.config_path
    config = json.loads(path.read_text())
    config["lora"]["rank"] += 1
    path.write_text(json.dumps(config))
    judgement = judge_experiment(own).judgement
    assert judgement.verdict.sentence == "No verdict: the arms differ in more than they declare."
    assert judgement.comparisons == ()
    told = [problem for problem in judgement.problems if "rank" in problem]
    assert len(told) == 1
    assert own.arms[3].run.name in told[0]


def test_a_config_that_cannot_be_read_is_said(own):
    own.arms[1].run.config_path.write_text("{")
    problems = judge_experiment(own).judgement.problems
    assert f"{own.arms[1].run.name} has no config that can be read." in problems
