"""A sweep is ranked by its declared score; what is said of it keeps to what was measured."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from core.evaluation.ranking import rank
from core.evaluation.verdict import RunScores, judge
from core.runs.folder import RunFolder
from core.runs.scores import SCORES

ARMS = {"teacher-forced": 0.5, "mso1": 0.7, "mso3": 0.6, "lr2e-4": 0.3}


def swept(seeds=1, spread=0.0, **arms):
    """Runs of a sweep whose diversity is as given, other by seed; V and the distance go with it."""
    return [
        one(arm, 42 + seed, value + spread * seed)
        for arm, value in (ARMS | {name.replace("_", "-"): value for name, value in arms.items()}).items()
        for seed in range(seeds)
    ]


def one(arm, seed, value, **more):
    values = dict.fromkeys(SCORES, math.nan) | {"diversity": value, "v_end": value, "nearest": value} | more
    return RunScores(arm, arm, seed, RunFolder(Path("sweep") / f"{arm}-s{seed}"), 100, values)


@pytest.mark.parametrize(
    ("score", "first", "last"),
    [("diversity", "mso1", "lr2e-4"), ("nearest", "lr2e-4", "mso1"), ("v_end", "lr2e-4", "mso1")],
)
def test_arms_stand_in_the_order_in_which_the_score_is_better(score, first, last):
    judgement = judge(swept(), primary=score)
    assert [judgement.ranking[0].arm, judgement.ranking[-1].arm] == [first, last]
    assert judgement.verdict.level == "ranking"
    assert "rollout" not in judgement.verdict.sentence


def test_no_verdict_is_given_and_nothing_is_called_best_where_neither_end_is():
    judgement = judge(swept(seeds=8), primary="v_end")
    assert judgement.verdict.sentence.startswith("No verdict: a sweep declares no one comparison.")
    assert "neither end is better by itself" in judgement.verdict.sentence
    assert not any("best" in line for line in judgement.controls)


def test_one_seed_has_no_uncertainty_few_have_their_range_and_five_an_interval():
    told = {count: rank(swept(count, 0.01), "diversity")[0].uncertainty for count in (1, 4, 5)}
    assert told[1] == ""
    assert told[4] == "seeds 0.7 to 0.73"
    assert told[5].startswith("95 % interval ")
    assert any("cannot tell an order from chance" in line for line in judge(swept(), primary="diversity").controls)


def test_means_are_over_the_seeds_that_all_arms_have():
    runs = [*swept(seeds=2), one("mso1", 44, 9.0)]
    (first, *_) = rank(runs, "diversity")
    assert (first.arm, first.seeds, first.mean) == ("mso1", (42, 43), pytest.approx(0.7))


def test_an_arm_without_a_score_is_left_out_and_nothing_is_ranked_alone():
    runs = swept()
    assert [place.arm for place in rank([*runs, one("mso9", 42, math.nan)], "diversity")] == [
        "mso1", "mso3", "teacher-forced", "lr2e-4",
    ]  # fmt: skip
    assert rank(runs[:1], "diversity") == ()
    judgement = judge([one("mso1", 42, math.nan), one("teacher-forced", 42, 0.1)], primary="diversity")
    assert judgement.verdict.sentence.startswith("Nothing to rank yet")


def test_each_arm_is_read_against_the_reference_with_holm_over_the_arms():
    few = judge(swept(seeds=6), primary="diversity")
    found = [comparison for comparison in few.comparisons if comparison.score == "diversity"]
    assert [comparison.arm for comparison in found] == ["mso1", "mso3", "lr2e-4"]
    assert [comparison.p_holm for comparison in found] == [pytest.approx(3 * 2 / 2**6)] * 3
    (line,) = [line for line in few.controls if line.startswith("Each arm beside teacher forcing")]
    assert "0 of 3 have p ≤ 0.05" in line
    assert "from 7 training seeds on" in line
    enough = judge(swept(seeds=7), primary="diversity")
    (line,) = [line for line in enough.controls if line.startswith("Each arm beside teacher forcing")]
    assert "3 of 3 have p ≤ 0.05" in line


def test_without_a_teacher_forced_cell_nothing_is_said_beside_one():
    judgement = judge([run for run in swept(seeds=7) if run.arm != "teacher-forced"], primary="diversity")
    assert judgement.comparisons == ()
    assert not any("teacher forcing" in line for line in (judgement.verdict.sentence, *judgement.controls))
    assert len(judgement.ranking) == 3


def test_an_experiment_with_a_rollout_arm_is_judged_as_ever():
    judgement = judge(swept(rollout=0.9), primary="diversity")
    assert judgement.ranking == ()
    assert judgement.verdict.level == "illustration"


def test_no_arm_is_said_to_differ_while_declared_seeds_are_still_to_come():
    runs = swept(seeds=12, lr2e_4=0.3)
    (done,) = [line for line in judge(runs, primary="diversity").controls if line.startswith("Each arm beside")]
    assert "(p = " in done
    coming = [*runs, replace(one("mso1", 54, math.nan), pending=True), replace(one("mso3", 54, math.nan), pending=True)]
    (line,) = [line for line in judge(coming, primary="diversity").controls if line.startswith("Each arm beside")]
    assert line.endswith("the test waits for the declared seeds that are still to be trained: 1.")
