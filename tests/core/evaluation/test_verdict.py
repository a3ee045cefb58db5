"""What is said of an experiment, by the words that people read; false findings and found effects by simulation."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.errors import RunError
from core.evaluation.verdict import RunScores, judge
from core.runs.folder import RunFolder
from core.runs.scores import SCORES

ARMS = ("teacher-forced", "rollout", "placebo", "replicate")
MEASURED = ("v_end", "nearest", "diversity", "g2")
EXPERIMENTS = 2000


@cache
def folder(name):
    return RunFolder(Path("experiment") / name)


def scores(arm, seed, v_end, *, problems=(), pending=False, **more):
    values = dict.fromkeys(SCORES, math.nan) | {"v_end": v_end} | more
    return RunScores(arm, arm, seed, folder(f"{arm}-s{seed}"), 100, values, problems=problems, pending=pending)


def experiment(**arms):
    """Runs from lists of V, one a seed; underscores in names stand for dashes."""
    return [scores(arm.replace("_", "-"), 42 + place, v) for arm, vs in arms.items() for place, v in enumerate(vs)]


def pairs(*differences):
    return experiment(teacher_forced=[0.0] * len(differences), rollout=differences)


def simulated(rng, seeds, effect=0.0):
    """Seeds move all arms together; the paired differences have an sd of 1."""
    shared = 2 * rng.normal(size=(seeds, 1, len(MEASURED)))
    values = shared + rng.normal(size=(seeds, len(ARMS), len(MEASURED))) / math.sqrt(2)
    values[:, 1] += effect
    return [
        scores(arm, seed, **dict(zip(MEASURED, map(float, values[seed, place]), strict=True)))
        for seed in range(seeds)
        for place, arm in enumerate(ARMS)
    ]


def said(runs):
    """The level, held against the sentence that is shown."""
    verdict = judge(runs).verdict
    assert verdict.sentence.startswith("Difference: ") == (verdict.level == "difference")
    return verdict.level


@pytest.mark.parametrize("seeds", [6, 8, 10])
def test_without_an_effect_a_difference_is_said_in_at_most_six_per_cent(seeds):
    rng = np.random.default_rng(seeds)
    found = [said(simulated(rng, seeds)) for _ in range(EXPERIMENTS)]
    assert set(found) == {"difference", "no difference shown"}
    assert found.count("difference") / EXPERIMENTS <= 0.06


def test_an_effect_of_one_paired_sd_is_found_with_eight_seeds_in_sixty_per_cent():
    rng = np.random.default_rng(0)
    found = [said(simulated(rng, 8, effect=1.0)) for _ in range(EXPERIMENTS)]
    assert found.count("difference") / EXPERIMENTS >= 0.6


def test_corrected_comparisons_beside_the_verdict_rarely_find_what_is_not_there():
    rng = np.random.default_rng(1)
    judged = [judge(simulated(rng, 10)).comparisons[1:] for _ in range(400)]
    false = sum(any(one.p_holm is not None and one.p_holm <= 0.05 for one in found) for found in judged)
    uncorrected = sum(any(one.p is not None and one.p <= 0.05 for one in found) for found in judged)
    assert false / 400 <= 0.08
    assert uncorrected > 3 * false


@pytest.mark.parametrize(("count", "level"), [(1, "illustration"), (2, "exploratory"), (5, "exploratory")])
def test_below_six_seeds_there_is_no_verdict_however_large_the_effect(count, level):
    verdict = judge(pairs(*[-1.0 - 0.01 * place for place in range(count)])).verdict
    assert verdict.level == level
    assert "difference" not in verdict.sentence.lower()
    assert verdict.sentence.lower().startswith(level)
    assert verdict.more_seeds == 6 - count
    assert str(6 - count) in verdict.sentence
    assert SCORES["v_end"].below in verdict.sentence


def test_six_seeds_that_agree_make_a_difference_with_direction_size_and_unit():
    verdict = judge(pairs(-0.09, -0.1, -0.11, -0.1, -0.1, -0.1)).verdict
    assert (verdict.level, verdict.more_seeds) == ("difference", None)
    assert "beside teacher forcing, rollout makes samples of less variance" in verdict.sentence
    assert "by 0.1 nats (9.52 % of the variance)" in verdict.sentence  # 1 - exp(-0.1)
    above = judge(pairs(0.09, 0.1, 0.11, 0.1, 0.1, 0.1)).verdict.sentence
    assert "makes samples of more variance, by 0.1 nats (10.5 % of the variance)" in above


def test_another_score_can_be_the_declared_one():
    runs = [scores(arm, seed, 0.0, nearest=0.5 - 0.1 * place) for seed in range(6) for place, arm in enumerate(ARMS)]
    judgement = judge(runs, primary="nearest")
    assert judgement.verdict.level == "difference"
    assert "comes closer to the training pictures, by 0.1 latent rms" in judgement.verdict.sentence
    assert judgement.verdict.comparison is judgement.comparisons[0]
    assert judge(runs).verdict.level == "no difference shown"


def test_no_difference_shown_names_how_many_seeds_might_show_one():
    verdict = judge(pairs(-0.2, 0.1, -0.3, 0.05, -0.1, -0.25)).verdict
    assert verdict.level == "no difference shown"
    assert verdict.more_seeds is not None
    assert verdict.more_seeds > 0
    assert f"about {verdict.more_seeds} more seed" in verdict.sentence
    assert "no difference shown" in verdict.sentence.lower()
    assert verdict.sentence.lower().count("difference") == 1


def test_where_the_estimate_is_reached_already_at_least_one_more_seed_is_asked_for():
    verdict = judge(pairs(1.0, 1.0, 1.0, 1.0, 1.0, -0.01)).verdict  # plain to a t test, p = 4 / 64 by sign flips
    assert (verdict.level, verdict.more_seeds) == ("no difference shown", 1)
    assert "about 1 more seed:" in verdict.sentence


def test_an_effect_that_hardly_stands_out_asks_for_no_number_of_seeds():
    verdict = judge(pairs(1.0, -1.0, 1.0, -1.0, 1.0, -1.01)).verdict
    assert verdict.more_seeds is None
    assert "more than 200 seeds" in verdict.sentence


@pytest.mark.parametrize("count", [1, 3, 6])
def test_runs_that_are_equal_bit_for_bit_are_said_to_be_equal(count):
    judgement = judge(pairs(*[0.0] * count))
    assert judgement.verdict.level != "difference"
    assert "the same V" in judgement.verdict.sentence
    assert "makes samples" not in judgement.verdict.sentence


def test_differences_that_are_all_alike_are_a_difference():
    judgement = judge(pairs(*[0.25] * 6))
    assert judgement.verdict.level == "difference"
    assert (judgement.comparisons[0].sd, judgement.comparisons[0].interval) == (0.0, (0.25, 0.25))


def test_without_a_pair_nothing_is_said():
    for runs in ([], experiment(rollout=[0.1]), experiment(teacher_forced=[0.1], rollout=[math.nan])):
        judgement = judge(runs)
        assert (judgement.verdict.level, judgement.verdict.comparison) == ("nothing", None)
        assert judgement.comparisons == ()
        assert judgement.verdict.more_seeds == 6


def test_seeds_that_lack_one_of_the_two_are_left_out_by_name():
    runs = experiment(teacher_forced=[0.0] * 7, rollout=[0.1, 0.1, math.nan, 0.1, 0.1, 0.1, 0.1])
    judgement = judge([run for run in runs if (run.arm, run.seed) != ("teacher-forced", 48)])
    assert judgement.comparisons[0].seeds == (42, 43, 45, 46, 47)
    assert judgement.verdict.level == "exploratory"
    (problem,) = judgement.problems
    assert "seeds 44, 48 are left out" in problem


def test_a_seed_without_any_score_is_named_once_and_a_single_missing_score_by_itself():
    runs = [scores(arm, seed, 0.0, nearest=0.5, m1=0.1) for arm in ARMS[:2] for seed in (42, 43, 44)]
    runs += [scores("teacher-forced", 45, 0.0, nearest=0.5, m1=0.1), scores("rollout", 45, math.nan)]
    assert len(judge(runs).problems) == 1
    runs[1] = scores(ARMS[0], 43, 0.0, nearest=0.5)
    first, second = judge(runs).problems
    assert "seed 45 is left out" in first
    assert "Paired drift M1: seed 43 is left out" in second


def test_pairs_are_made_by_seed_whatever_the_order():
    runs = experiment(teacher_forced=[1.0, 2.0, 4.0], rollout=[1.5, 2.25, 4.125])
    assert judge(runs[::-1]).comparisons[0].differences == (0.5, 0.25, 0.125)


def test_a_second_run_of_the_same_arm_and_seed_is_left_out_by_name():
    runs = [*pairs(0.1, 0.2), scores("rollout", 42, 5.0)]
    judgement = judge(runs)
    assert judgement.comparisons[0].differences == (0.1, 0.2)
    assert any("rollout-s42 is left out" in problem for problem in judgement.problems)


def test_the_runs_own_problems_are_passed_on_once():
    run = scores("rollout", 42, 0.1, problems=("a line is torn.",))
    other = scores("teacher-forced", 42, 0.0, problems=("a line is torn.",))
    assert judge([run, other]).problems == ("a line is torn.",)


def test_the_verdict_waits_for_the_declared_seeds_that_are_still_to_come():
    runs = pairs(*[-1.0 - 0.01 * place for place in range(6)])
    assert judge(runs).verdict.level == "difference"
    waiting = judge([*runs, scores("rollout", 48, math.nan, pending=True)]).verdict
    assert (waiting.level, waiting.more_seeds) == ("exploratory", 1)
    assert "waits" in waiting.sentence
    assert "difference" not in waiting.sentence.lower()
    assert judge([*runs, scores("placebo", 48, math.nan, pending=True)]).verdict.level == "difference"


def test_everything_else_is_secondary_and_corrected_together():
    judgement = judge(simulated(np.random.default_rng(5), 6, effect=3.0))
    first, *rest = judgement.comparisons
    assert (first.arm, first.score, first.p_holm) == ("rollout", "v_end", None)
    assert {(one.arm, one.score) for one in rest} == {
        (arm, score) for arm in ARMS[1:] for score in MEASURED if (arm, score) != ("rollout", "v_end")
    }
    assert all(one.p is not None and one.p_holm is not None and one.p_holm >= one.p for one in rest)
    least = min(one.p for one in rest)
    assert min(one.p_holm for one in rest) == pytest.approx(min(1.0, len(rest) * least))


@pytest.mark.parametrize(("seeds", "has_sd", "has_interval", "has_p"), [
    (1, False, False, False), (2, True, False, False), (5, True, True, False), (6, True, True, True),
])  # fmt: skip
def test_spread_interval_and_p_are_given_from_enough_seeds_on(seeds, has_sd, has_interval, has_p):
    for one in judge(simulated(np.random.default_rng(6), seeds)).comparisons:
        assert (one.sd is not None, one.interval is not None, one.p is not None) == (has_sd, has_interval, has_p)


def test_the_replicate_tells_how_far_two_equal_trainings_lie_apart():
    above = judge(experiment(teacher_forced=[0.0, 0.0], rollout=[0.3, 0.5], replicate=[0.1, 0.1])).noise_floor
    within = judge(experiment(teacher_forced=[0.0, 0.0], rollout=[0.02, 0.04], replicate=[-0.1, -0.1])).noise_floor
    assert above is not None
    assert "0.1 nats" in above
    assert "rollout farther: 0.4 nats" in above
    assert within is not None
    assert "rollout no farther than that: 0.03 nats" in within
    assert judge(pairs(0.3, 0.5)).noise_floor is None


def test_a_control_is_read_over_the_seeds_that_it_shares_with_the_arm():
    runs = experiment(teacher_forced=[0.0, 0.0, 0.0], rollout=[-0.1, -0.3, 8.0], placebo=[-0.1, -0.1, math.nan])
    runs += [scores("teacher-forced", 45, 0.0), scores("placebo", 45, 9.0)]
    (control,) = judge(runs).controls
    assert "The matched-noise placebo moves it less than rollout: -0.1 beside -0.2 nats" in control


@pytest.mark.parametrize(("moved", "words"), [
    (-0.1, "less than"), (-0.2, "as much as, or more than,"), (-0.4, "as much as, or more than,"),
    (0.4, "the other way than"), (0.0, "less than"),
])  # fmt: skip
def test_what_a_control_does_beside_the_arm_is_described(moved, words):
    runs = experiment(teacher_forced=[0.0], rollout=[-0.2], input_perturbation=[moved])
    (control,) = judge(runs).controls
    assert f"Input perturbation moves it {words} rollout" in control


def test_a_score_that_is_none_and_an_arm_against_itself_are_refused():
    with pytest.raises(RunError, match="primary must be one of"):
        judge([], primary="fid")
    with pytest.raises(RunError, match="arm must be another than its reference"):
        judge([], arm="teacher-forced")
