"""The blind vote, without a browser: what is shown tells no arm, and what is recorded is what was shown."""

import base64
import io
import random
import re

import pytest
from PIL import Image, PngImagePlugin

from app.tabs.compare_vote import CHOICES, cast_vote, deal, show_tally
from app.votes import KEPT, Ballots, compared_arms, data_uri, next_pair, pairs_of, votes_path
from core.runs.votes import Vote, read_votes, record_vote
from tests.support.fabricated import make_experiment, write_sample

CAT = ["experiments/orange-cat"]
COLOUR_OF = {"teacher-forced": (255, 165, 0), "rollout": (255, 255, 255)}
"""Of the fabricated pictures: orange and white."""


def shown(answer):
    """Colours of the left and the right picture."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', answer[0])
    return tuple(Image.open(io.BytesIO(base64.b64decode(text))).getpixel((0, 0)) for text in found)


def test_each_vote_is_recorded_once_with_the_arms_that_were_shown(parts, workspace):
    experiment = make_experiment(workspace, seeds=3)
    answer, sides = deal(parts, CAT), set()
    for number in range(1, 31):
        left, right = shown(answer)
        choice = ("left", "right", "neither")[number % 3]
        answer = cast_vote(parts, CAT, answer[1], choice)
        votes = read_votes(votes_path(experiment))
        assert len(votes) == number
        assert (COLOUR_OF[votes[-1].left], COLOUR_OF[votes[-1].right]) == (left, right)
        assert votes[-1].choice == choice
        sides.add(votes[-1].left)
    assert sides == {"teacher-forced", "rollout"}
    assert {vote.seed for vote in votes} == {42, 43, 44}


def test_what_the_browser_gets_tells_no_arm(parts, workspace):
    make_experiment(workspace)
    for _ in range(4):
        pair, token, *_, message, tally = deal(parts, CAT)
        for text in (pair, token, message, tally):
            assert "rollout" not in text
            assert "forced" not in text
        assert "file=" not in pair
        assert pair.count("<img") == 2
        assert pair.count('alt="') == 2


def test_a_pictures_metadata_does_not_come_along(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "scheduled_sampling_max_step_offset 3")
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "orange").save(path, pnginfo=info)
    data = base64.b64decode(data_uri(path).partition(",")[2])
    assert b"parameters" in path.read_bytes()
    assert b"scheduled" not in data
    assert Image.open(io.BytesIO(data)).info == {}
    assert Image.open(io.BytesIO(data)).tobytes() == Image.open(path).tobytes()


@pytest.mark.parametrize("token", ["", "x", None, 7, ["a"], '{"left": "rollout"}'])
def test_a_token_that_was_not_given_counts_for_nothing(parts, experiment, token):
    answer = cast_vote(parts, CAT, token, "left")
    assert "Not counted" in answer[5]
    assert shown(answer)
    assert not votes_path(experiment).exists()


def test_a_token_counts_once_and_for_its_own_experiment(parts, workspace):
    one, other = make_experiment(workspace), make_experiment(workspace, "Another")
    token = deal(parts, CAT)[1]
    assert "Not counted" in cast_vote(parts, ["experiments/another"], token, "left")[5]
    assert "Counted" in cast_vote(parts, CAT, token, "left")[5]
    assert "Not counted" in cast_vote(parts, CAT, token, "right")[5]
    assert len(read_votes(votes_path(one))) == 1
    assert not votes_path(other).exists()


def test_the_tally_is_told_only_when_asked_and_goes_with_the_next_pair(parts, experiment):
    answer = deal(parts, CAT)
    for _ in range(3):
        answer = cast_vote(parts, CAT, answer[1], "left")
        assert answer[-1] == ""
        assert "won" not in "".join(text for text in answer if isinstance(text, str))
    told = show_tally(parts, CAT)
    votes = read_votes(votes_path(experiment))
    wins = sum(getattr(vote, vote.choice) == "rollout" for vote in votes)
    assert f"rollout: {wins}, teacher-forced: {3 - wins}" in told
    assert "95 % interval" in told


def test_pairs_are_of_the_last_step_that_both_have_and_never_of_step_0(workspace):
    experiment = make_experiment(workspace)
    write_sample(experiment.arms[0].run, 60)
    assert {pair.spot.step for pair in pairs_of(experiment)} == {30}
    for path in experiment.arms[0].run.samples_dir.glob("step-0000[36]0/*.png"):
        path.unlink()
    assert pairs_of(experiment) == []


def test_the_pair_with_the_fewest_votes_comes_next(workspace):
    experiment = make_experiment(workspace, seeds=2)
    pairs, chance, keys = pairs_of(experiment), random.Random(0), []
    for _ in pairs:
        pair = next_pair(experiment, pairs, chance)
        keys.append((pair.seed, pair.spot))
        record_vote(votes_path(experiment), pair.vote("left"))
    assert len(set(keys)) == len(keys) == len(pairs) == 4


def test_arms_that_are_voted_on_are_rollout_and_its_reference_else_the_first_two(workspace):
    experiment = make_experiment(workspace, arms=("teacher-forced", "too-long", "rollout"))
    assert compared_arms(experiment) == ("rollout", "teacher-forced")
    other = make_experiment(workspace, "Other", arms=("teacher-forced", "too-long"))
    assert compared_arms(other) == ("too-long", "teacher-forced")


@pytest.mark.parametrize("picked", [[], None, ["runs/none"], ["experiments/../x"]])
def test_without_an_experiment_there_is_nothing_to_vote_on(parts, picked):
    answer = deal(parts, picked)
    assert answer[:2] == ["", ""]
    assert "needs one experiment" in answer[5]
    assert [button.visible for button in answer[2:5]] == [False] * len(CHOICES)
    assert "No votes to count" in show_tally(parts, picked)


def test_a_picture_that_cannot_be_read_is_said(parts, experiment):
    for arm in experiment.arms:
        for path in arm.run.samples_dir.glob("step-000030/*.png"):
            path.write_bytes(b"torn")
    answer = deal(parts, CAT)
    assert answer[:2] == ["", ""]
    assert "cannot be read" in answer[5]


def test_old_pairs_are_forgotten(workspace):
    pair = pairs_of(make_experiment(workspace))[0]
    ballots = Ballots()
    first = ballots.hand_out(pair)
    for _ in range(KEPT):
        last = ballots.hand_out(pair)
    assert ballots.take(first, "orange-cat") is None
    assert ballots.take(last, "orange-cat") == pair


def test_a_choice_that_there_is_not_is_refused(experiment):
    with pytest.raises(ValueError, match="choice must be"):
        Vote(0.0, 42, 30, 0, 42, "rollout", "teacher-forced", "both")  # type: ignore[arg-type]
