"""Statistics over training seeds against scipy, closed forms and simulated experiments."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from core.evaluation.statistics import EXACT_UP_TO, holm, interval, seeds_needed, sign_flip_p, wilson


def scipy_p(values):
    found = stats.permutation_test(
        (np.asarray(values),), lambda sample, axis: np.abs(sample.mean(axis=axis)), permutation_type="samples",
        alternative="greater", n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    return found.pvalue


@pytest.mark.parametrize("count", [2, 5, 6, 8, 11])
def test_the_sign_flip_test_is_scipys_exact_one(count):
    rng = np.random.default_rng(count)
    for shift in (0.0, 0.5, 2.0):
        values = rng.normal(shift, 1, count)
        assert sign_flip_p(values) == pytest.approx(scipy_p(values), abs=1e-12)


def test_sign_patterns_that_tie_count_as_large_as_what_was_found():
    values = [0.1, 0.2, 0.3, 0.1, -0.1, 0.4, 0.2]  # many patterns have the same mean up to rounding
    sums = [0]
    for value in (1, 2, 3, 1, -1, 4, 2):
        sums = [total + sign * value for total in sums for sign in (1, -1)]
    assert sign_flip_p(values) == sum(abs(total) >= 12 for total in sums) / len(sums)


def test_the_sign_flip_test_sees_no_side_and_no_scale():
    values = [0.3, -0.1, 0.5, 0.2, 0.4, 0.6]
    assert sign_flip_p(values) == sign_flip_p([-value for value in values]) == sign_flip_p([1e6 * v for v in values])


@pytest.mark.parametrize("count", [5, 6, 10])
def test_seeds_that_all_point_one_way_reach_the_least_p_there_is(count):
    assert sign_flip_p([0.1 * (1 + place) for place in range(count)]) == 2 / 2**count


def test_pairs_that_are_all_equal_have_a_p_of_one():
    assert sign_flip_p([0.0] * 8) == 1.0


def test_above_the_exact_test_a_fixed_sample_of_patterns_comes_close():
    values = np.random.default_rng(3).normal(0.4, 1, EXACT_UP_TO + 2)
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate((sums + value, sums - value))
    exact = np.mean(np.abs(sums) >= abs(values.sum()) * (1 - 1e-12))
    found = sign_flip_p(values)
    assert found == sign_flip_p(values)
    assert found == pytest.approx(exact, abs=5 * math.sqrt(exact / 1e5))


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()
    assert holm([0.02]) == (0.02,)


def test_holm_keeps_the_chance_of_any_false_finding():
    rng = np.random.default_rng(0)
    false = sum(min(holm(rng.uniform(size=12))) <= 0.05 for _ in range(4000))
    assert false / 4000 <= 0.06
    assert false > 0


def test_an_interval_is_scipys_t_interval_and_none_is_given_below_five_seeds():
    values = np.random.default_rng(1).normal(1, 2, 7)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert interval(values, 0.9) == pytest.approx((expected.low, expected.high))
    assert interval(values[:5]) is not None
    assert interval(values[:4]) is None


def test_an_interval_of_equal_differences_is_one_point():
    assert interval([0.25] * 6) == (0.25, 0.25)


def test_the_seeds_that_are_needed_give_the_power_that_they_promise():
    values = [0.2, 1.1, -0.7, 1.9, 0.6, 0.4]  # mean about 0.7 sd
    needed = seeds_needed(values)
    assert needed is not None
    rng = np.random.default_rng(2)
    power = [
        np.mean(stats.ttest_1samp(rng.normal(np.mean(values), np.std(values, ddof=1), (4000, n)), 0, axis=1)[1] <= 0.05)
        for n in (needed - 1, needed)
    ]
    assert power[0] < 0.82
    assert power[1] > 0.78


def test_a_smaller_effect_needs_more_seeds_and_none_needs_less_than_six():
    spread = np.array([-1.0, 1.0, -1.0, 1.0, 0.0, 0.0])
    found = [seeds_needed(spread + mean) for mean in (5.0, 1.0, 0.5, 0.3)]
    assert found[0] == 6
    assert all(a is not None and b is not None and a < b for a, b in pairwise(found))


@pytest.mark.parametrize("values", [[0.0] * 6, [0.4], [1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.01]])
def test_no_number_is_given_where_none_would_do(values):
    assert seeds_needed(values) is None


def test_equal_differences_need_no_more_than_a_verdict_does():
    assert seeds_needed([0.1] * 3) == 6


def test_the_wilson_interval_holds_its_formula():
    wins, trials, z = 7, 10, 1.959963984540054
    share = wins / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    assert wilson(wins, trials) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 0) == (0.0, 1.0)
