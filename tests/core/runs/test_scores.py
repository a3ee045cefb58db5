"""The registry of scores: every entry reads its own number, in words that fit into the sentences of a verdict."""

import json
import math

import pytest

from core.runs.drift import ChainScores, DriftRecord
from core.runs.files import to_json
from core.runs.scores import DEFAULT_SCORE, SCORES

NUMBERS = {
    "v_end": -0.1, "nearest": 0.2, "diversity": 0.3, "energy_distance": 0.4, "high": 0.5, "m1": 0.6, "g2": 0.7,
    "epsilon_norm": 0.8, "adherence": 0.9,
}  # fmt: skip


def whole():
    chain = ChainScores(
        8, 20, 1.0, v=-0.1, nearest=0.2, diversity=0.3, energy_distance=0.4, high=0.5, adherence=0.9
    )  # fmt: skip
    return DriftRecord(
        5, chain=chain, m1_mean=0.6, g0=(-5.0, -7.0), g1=(-8.0, -9.0), g2=(0.6, 0.8), epsilon_norm=(0.7, 0.9)
    )


def read_back(record):
    return DriftRecord.from_dict(json.loads(to_json(record.to_dict())))


@pytest.mark.parametrize("name", SCORES)
def test_a_score_reads_its_own_number_and_survives_the_journal(name):
    assert SCORES[name].value(whole()) == pytest.approx(NUMBERS[name])
    assert SCORES[name].value(read_back(whole())) == pytest.approx(NUMBERS[name])


@pytest.mark.parametrize("name", SCORES)
def test_a_score_that_was_not_measured_is_nan(name):
    for record in (DriftRecord(5), DriftRecord(5, chain=ChainScores(8, 20, 1.0))):
        assert math.isnan(SCORES[name].value(record))


@pytest.mark.parametrize("name", SCORES)
def test_the_words_of_a_score_claim_nothing_that_only_a_verdict_may(name):
    score = SCORES[name]
    assert score.name == name
    assert score.below != score.above
    assert all((score.label, score.unit, score.help))
    assert "difference" not in f"{score.label} {score.unit} {score.below} {score.above}".lower()
    assert not score.below.endswith(".")
    assert not score.above.endswith(".")


def test_the_gaps_that_rollout_training_lowers_by_itself_are_no_scores():
    g0_and_g1 = {-6.0, -8.5, -5.0, -7.0, -8.0, -9.0}
    assert not {SCORES[name].value(whole()) for name in SCORES} & g0_and_g1
    assert {"g0", "g1"}.isdisjoint(SCORES)


def test_the_score_that_is_declared_by_default_is_one():
    assert DEFAULT_SCORE in SCORES
