"""Statistics over training seeds: an exact sign-flip test, Holm's correction, intervals, and how many seeds are needed.

A difference is one training seed's: the arm's score minus the reference's, each averaged within its run first.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import nctdtr, stdtrit

from core.runs.votes import wilson

__all__ = [
    "LEAST_FOR_INTERVAL",
    "LEAST_FOR_VERDICT",
    "LEVEL",
    "holm",
    "interval",
    "seeds_needed",
    "sign_flip_p",
    "wilson",
]

LEVEL = 0.05
"""A test's p must not be above it."""
LEAST_FOR_VERDICT = 6
"""With fewer seeds the sign-flip test cannot reach 0.05: 2 / 2^5 is 0.0625."""
LEAST_FOR_INTERVAL = 5
MOST_SEEDS = 200
"""Nobody trains more; an effect that needs them is not worth it."""
POWER = 0.8
EXACT_UP_TO = 20
"""Seeds up to which all sign patterns are taken: half a million. Above it a fixed sample of them."""
SAMPLED = 99_999
ROUNDING = 1e-12
"""Sums that lie closer, relative to the sum of |differences|, are equal: they were added in another order."""


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the sign-flip test on |mean| (Fisher 1935, The Design of Experiments, section 21).

    Without an effect, arm and reference of a seed could as well have been exchanged, which flips the sign of its
    difference. p is the share of all 2^n sign patterns whose |mean| is at least as large as the one that was found.

    Args:
        differences: One a seed; at least one, finite.

    Returns:
        2 / 2^n .. 1; 1 where all differences are 0.

    >>> sign_flip_p([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]) == 2 / 2**6
    True
    """
    values = np.asarray(differences, dtype=np.float64)
    least = abs(values.sum()) - ROUNDING * np.abs(values).sum()
    if len(values) > EXACT_UP_TO:
        return _sampled_p(values, least)
    sums = values[:1]  # the first sign is kept: the other half of the patterns are these with all signs flipped
    for value in values[1:]:
        sums = np.concatenate((sums + value, sums - value))
    return float(np.mean(np.abs(sums) >= least))


def _sampled_p(values: np.ndarray, least: float) -> float:
    """The same by scipy's Monte Carlo, the found pattern counted in; the same p for the same differences."""
    from scipy.stats import permutation_test  # half a second to import, for more seeds than anybody trains

    found = permutation_test(
        (values,),
        lambda sample, axis: np.abs(sample.sum(axis=axis)) >= least,  # 1 or 0: at least as large or not
        permutation_type="samples", alternative="greater", n_resamples=SAMPLED, batch=10_000, vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p values corrected for being several, in their order (Holm 1979, A simple sequentially rejective procedure).

    The smallest of m is multiplied by m, the next by m - 1 and so on; none ends below a smaller one's, or above 1.

    >>> holm([0.04, 0.01, 0.03])
    (0.06, 0.03, 0.06)
    """
    corrected, least, left = [0.0] * len(p_values), 0.0, len(p_values)
    for place in sorted(range(len(p_values)), key=lambda place: p_values[place]):
        least = corrected[place] = max(least, min(left * p_values[place], 1.0))
        left -= 1
    return tuple(corrected)


def interval(differences: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean: descriptive, no test. None below five seeds.

    Args:
        differences: One a seed, finite.
        level: Coverage, 0..1.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < LEAST_FOR_INTERVAL:
        return None
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def seeds_needed(differences: Sequence[float]) -> int | None:
    """Roughly how many seeds would show an effect like this one: a guess from few seeds, not a plan.

    The smallest number, at least six, with which a paired two-sided t test at 0.05 would find an effect of the mean and
    standard deviation that were seen in 80 % of experiments (noncentral t, Cohen 1988, chapter 2). Both are estimates,
    and from few seeds poor ones: the true number may be several times smaller or larger.

    Args:
        differences: One a seed, finite.

    Returns:
        Seeds in all; None when it would take more than 200, or when fewer than two seeds tell nothing of the spread.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or values.mean() == 0:
        return None
    if values.std(ddof=1) <= ROUNDING * abs(values.mean()):
        return LEAST_FOR_VERDICT
    seeds = np.arange(LEAST_FOR_VERDICT, MOST_SEEDS + 1)
    shift = abs(values.mean()) / values.std(ddof=1) * np.sqrt(seeds)
    freedom = seeds - 1
    # nctdtr has no value far out, where the power is 1 to many digits
    power = 1 - nctdtr(freedom, np.minimum(shift, 15.0), stdtrit(freedom, 1 - LEVEL / 2))
    enough = seeds[power >= POWER]
    return int(enough[0]) if len(enough) > 0 else None
