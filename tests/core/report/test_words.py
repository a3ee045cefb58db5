"""Verdict and tables in words."""

import math
from dataclasses import replace

import pytest

from core.evaluation.verdict import judge
from core.report.words import (
    INCOMPLETE,
    MISSING,
    NONE,
    arm_labels,
    as_text,
    cost_table,
    score_table,
    tally_text,
    unmeasured,
    verdict_lines,
)  # fmt: skip
from core.runs.votes import Tally

SEVERAL = (-0.1, -0.11, -0.12, -0.13, -0.14, -0.15)


def test_the_verdict_comes_first_and_word_for_word(scored):
    judgement = judge(scored(SEVERAL))
    assert verdict_lines(judgement)[0] == judgement.verdict.sentence
    assert judgement.verdict.level == "difference"


def test_the_declared_score_is_named(scored):
    lines = verdict_lines(judge(scored((0.1,)), primary="diversity"))
    assert any(line.startswith("Declared before training: Diversity") for line in lines)


def test_secondary_findings_are_counted_only_after_their_correction(scored):
    few = verdict_lines(judge(scored(SEVERAL[:3])))
    assert not any("Holm" in line for line in few)
    line = next(line for line in verdict_lines(judge(scored(SEVERAL))) if "Holm" in line)
    assert line.startswith("Of 1 secondary comparisons, 1 have p ≤ 0.05")
    assert "Diversity of rollout" in line


def test_every_seed_has_its_value_and_the_reference_is_told(scored):
    runs = scored((-0.1, -0.3))
    head, rows = score_table(runs, judge(runs))
    assert head[:4] == ["Score", "Arm", "seed 42", "seed 43"]
    assert rows[0][1:] == ["Teacher-forced", "-0.1", "-0.1", "-0.1", "reference"]
    assert rows[1][1:] == ["Rollout", "-0.2", "-0.4", "-0.3", "-0.2"]


@pytest.mark.parametrize("primary", ["v_end", "diversity"])
def test_the_declared_score_leads_the_table(scored, primary):
    runs = scored((-0.1,))
    names = [row[0] for row in score_table(runs, judge(runs, primary=primary))[1]]
    assert names[0].endswith(", declared")
    assert sum(name.endswith(", declared") for name in names) == 2
    assert names[0].startswith({"v_end": "V at", "diversity": "Diversity"}[primary])


def test_intervals_and_p_are_shown_only_where_they_are_given(scored):
    heads = {count: score_table(runs := scored(SEVERAL[:count]), judge(runs))[0] for count in (1, 4, 5, 6)}
    assert all("95 % interval" not in heads[count] for count in (1, 4))
    assert "95 % interval" in heads[5]
    assert "p" not in heads[5]
    assert "p" in heads[6]
    assert "Mean" not in heads[1]


def test_p_of_secondary_comparisons_says_that_it_is_corrected(scored):
    runs = scored(SEVERAL)
    _, rows = score_table(runs, judge(runs))
    assert [row[-1] for row in rows] == [NONE, "0.031", NONE, "0.031 (Holm)"]


def test_what_is_missing_is_said_and_enters_no_mean(scored):
    runs = scored((-0.1, -0.3))
    runs[3] = replace(runs[3], values={**runs[3].values, "v_end": math.nan})
    rows = score_table(runs, judge(runs))[1]
    assert rows[1][2:5] == ["-0.2", MISSING, INCOMPLETE]


def test_scores_that_nobody_measured_are_listed_apart(scored):
    runs = scored((0.1,), m1=0.3)
    named = {row[0].split(" (")[0] for row in score_table(runs, judge(runs))[1]}
    assert "Paired drift M1" in named
    assert "Recovery gap G2" in unmeasured(runs)
    assert not named & set(unmeasured(runs))


def test_costs_of_every_run_stand_in_the_table(scored):
    head, rows = cost_table(scored((0.1, 0.2)))
    assert len(rows) == 4
    assert rows[0] == ["Teacher-forced", "42", "600", "12.5", "1 800", "2 400", "9 000", MISSING]
    assert len(head) == len(rows[0])


def test_an_arm_with_two_labels_is_called_by_its_name(scored):
    runs = scored((0.1, 0.2))
    runs[0] = replace(runs[0], label="Another")
    assert arm_labels(runs) == {"teacher-forced": "teacher-forced", "rollout": "Rollout"}


def test_text_stands_in_columns_and_repeats_no_heading():
    lines = as_text(["Score", "Value"], [["V", "-0.1"], ["V", "12"], ["Diversity", "1"]])
    assert lines == ["Score      Value", "---------  -----", "V           -0.1", "              12", "Diversity      1"]


def test_a_table_without_rows_is_its_head():
    assert as_text(["Score"], []) == ["Score", "-----"]


@pytest.mark.parametrize(
    ("tally", "told"),
    [
        (Tally(0, 0, 0, math.nan, 0, 1), "No votes yet."),
        (Tally(0, 0, 2, math.nan, 0, 1), "Rollout: 0, Plain: 0, can't tell: 2."),
        (Tally(3, 2, 0, 0.6, 0.23, 0.88), "don't tell the arms apart"),
        (Tally(30, 2, 0, 0.94, 0.8, 0.98), "nothing about other training seeds"),
    ],
)
def test_votes_say_no_more_than_they_hold(tally, told):
    assert told in tally_text(tally, "Rollout", "Plain")
