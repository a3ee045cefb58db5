"""Blind votes: kept whole, counted for the two arms that are asked about, ties apart."""

import math

import pytest

from core.runs import journal
from core.runs.votes import Vote, read_votes, record_vote, tally, wilson


def vote(left, right, choice, *, seed=42, prompt=1):
    return Vote(1.0, seed, 300, prompt, 7, left, right, choice)


def many(wins, losses, ties):
    """Votes with the arm on either side in turn."""
    won = [vote("rollout", "plain", "left"), vote("plain", "rollout", "right")]
    lost = [vote("rollout", "plain", "right"), vote("plain", "rollout", "left")]
    tied = [vote("plain", "rollout", "neither")]
    return [won[n % 2] for n in range(wins)] + [lost[n % 2] for n in range(losses)] + tied * ties


def test_votes_come_back_as_they_were_given(tmp_path):
    path = tmp_path / "votes.jsonl"
    given = [vote("rollout", "plain", "left"), vote("plain", "rollout", "neither", seed=None, prompt=0)]
    for one in given:
        record_vote(path, one)
    assert read_votes(path) == given


def test_before_the_first_vote_there_is_nothing(tmp_path):
    found = tally(read_votes(tmp_path / "votes.jsonl"), "rollout", "plain")
    assert (found.wins, found.losses, found.ties, found.low, found.high) == (0, 0, 0, 0.0, 1.0)
    assert math.isnan(found.rate)


def test_a_torn_line_costs_itself_and_no_other(tmp_path):
    path = tmp_path / "votes.jsonl"
    record_vote(path, vote("rollout", "plain", "left"))
    with path.open("ab") as file:
        file.write(b'{"time": 3, "step"')
    assert len(read_votes(path)) == 1
    record_vote(path, vote("rollout", "plain", "right"))
    assert [one.choice for one in read_votes(path)] == ["left", "right"]


@pytest.mark.parametrize("line", [
    {"choice": "left"}, {"choice": "both", "left": "a", "right": "b", "step": 3},
    {"choice": "left", "left": 3, "right": "b", "step": 3}, {"choice": ["left"], "left": "a", "right": "b", "step": 3},
    {"choice": "left", "left": "a", "right": "b"},
])  # fmt: skip
def test_a_line_that_is_no_vote_is_left_out(tmp_path, line):
    path = tmp_path / "votes.jsonl"
    journal.append(path, line)
    assert read_votes(path) == []


def test_another_choice_is_refused():
    with pytest.raises(ValueError, match="choice must be left, right or neither"):
        vote("a", "b", "both")


def test_a_win_is_a_win_on_either_side():
    found = tally(many(5, 3, 0), "rollout", "plain")
    assert (found.wins, found.losses, found.rate) == (5, 3, 5 / 8)
    mirrored = tally(many(5, 3, 0), "plain", "rollout")
    assert (mirrored.wins, mirrored.losses) == (3, 5)


def test_ties_are_reported_and_move_no_rate():
    with_ties, without = tally(many(5, 3, 9), "rollout", "plain"), tally(many(5, 3, 0), "rollout", "plain")
    assert (with_ties.ties, without.ties) == (9, 0)
    assert (with_ties.rate, with_ties.low, with_ties.high) == (without.rate, without.low, without.high)
    only = tally(many(0, 0, 4), "rollout", "plain")
    assert (only.ties, only.low, only.high) == (4, 0.0, 1.0)


def test_votes_on_other_arms_do_not_count():
    others = [vote("rollout", "placebo", "left"), vote("placebo", "plain", "left"), vote("rollout", "rollout", "left")]
    assert tally([*many(2, 1, 1), *others], "rollout", "plain") == tally(many(2, 1, 1), "rollout", "plain")


def test_the_interval_is_of_the_decided_votes_and_shrinks_with_them():
    few, lots = tally(many(6, 2, 5), "rollout", "plain"), tally(many(60, 20, 0), "rollout", "plain")
    assert (few.low, few.high) == wilson(6, 8)
    assert few.low < lots.low < lots.rate < lots.high < few.high


def test_a_clean_sweep_of_few_votes_is_no_certainty():
    found = tally(many(4, 0, 0), "rollout", "plain")
    assert found.rate == 1.0
    assert found.low < 0.55
