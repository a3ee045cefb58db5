"""Offsets: the stated distribution is the drawn one, and expectations are those of the draws."""

from itertools import pairwise

import numpy as np
import pytest
from noise_schedules import options

from core.rollout.expected import cut_distribution, expected_longest, mean_offset, touched_timesteps
from core.rollout.offsets import (
    STRATEGIES,
    cut,
    cut_to_grid,
    even_grid,
    grid_index,
    grid_nodes,
    grid_timestep,
    offset_distribution,
    offsets_from,
)

LAST = 999


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("longest", [0, 1, 2, 10])
def test_the_distribution_is_that_of_the_draws(strategy, longest):
    chosen = options(strategy=strategy, max_step_offset=longest)
    u = (np.arange(200_000) + 0.5) / 200_000
    share = np.bincount(offsets_from(u, chosen), minlength=longest + 1) / len(u)
    np.testing.assert_allclose(offset_distribution(chosen), share, atol=2e-5)
    assert offset_distribution(chosen).sum() == pytest.approx(1.0)


def test_early_offsets_are_short_and_late_ones_long():
    early, uniform, late = (
        mean_offset(options(strategy=strategy, max_step_offset=10), LAST)
        for strategy in ("biased_early", "uniform", "biased_late")
    )
    assert early < uniform - 1
    assert late > uniform + 1


def test_uniform_leaves_one_in_k_plus_one_teacher_forced():
    assert offset_distribution(options(max_step_offset=10))[0] == pytest.approx(1 / 11)


def test_an_unknown_strategy_is_named():
    with pytest.raises(ValueError, match="strategy must be one of uniform, biased_early, biased_late, got 'late'"):
        offset_distribution(options(strategy="late"))


def test_a_source_never_lies_beyond_the_last_timestep():
    t = np.arange(1000)
    k = cut(np.full(1000, 7), t, 30, LAST)
    assert (t + k * 30 <= LAST).all()
    assert ((k == 7) | (t + (k + 1) * 30 > LAST)).all()
    assert (k >= 0).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stride", [1, 90, "inference"])
def test_expectations_are_those_of_simulated_batches(strategy, stride):
    chosen = options(strategy=strategy, max_step_offset=6, stride=stride)
    grid = even_grid(LAST, 12) if stride == "inference" else None
    random = np.random.default_rng(0)
    u, t = random.random((40_000, 4)), random.integers(0, LAST + 1, (40_000, 4))
    k = offsets_from(u, chosen)
    k = cut(k, t, stride, LAST) if grid is None else cut_to_grid(k, t, grid_nodes(grid))
    assert mean_offset(chosen, LAST, grid) == pytest.approx(k.mean(), abs=0.02)
    rolled = np.where(random.random(k.shape) < 0.3, k, 0)
    longest = expected_longest(cut_distribution(chosen, LAST, grid), 4, np.array([0.3]))
    assert longest == pytest.approx(rolled.max(axis=1).mean(), abs=0.03)


def test_the_longest_of_eight_needs_nine_calls_not_forty():
    chosen = options(max_step_offset=10)
    never, always = expected_longest(cut_distribution(chosen, LAST), 8, np.array([0.0, 1.0]))
    assert never == 0.0
    assert 9.0 < always <= 9.5


def test_a_grid_is_followed_linearly_between_its_points():
    nodes = grid_nodes([100.0, 300.0])
    assert nodes.tolist() == [0.0, 100.0, 300.0]
    assert grid_nodes([0.0, 100.0, 300.0]).tolist() == nodes.tolist()
    assert grid_index(nodes, [50.0, 200.0, 300.0]).tolist() == [0.5, 1.5, 2.0]
    assert grid_timestep(nodes, [0.5, 1.5, 2.0]).tolist() == [50.0, 200.0, 300.0]


def test_targets_outside_the_grid_are_teacher_forced():
    nodes = grid_nodes([100.0, 300.0, 900.0])
    assert cut_to_grid(np.full(5, 9), [99.0, 100.0, 299.0, 900.0, 950.0], nodes).tolist() == [0, 2, 1, 0, 0]


@pytest.mark.parametrize("grid", [[], [0.0], [300.0, 100.0], [100.0, 100.0], [-5.0, 100.0]])
def test_a_grid_that_is_none_is_refused(grid):
    with pytest.raises(ValueError, match="grid must hold ascending timesteps above 0"):
        grid_nodes(grid)


def test_touched_timesteps_are_those_of_simulated_rollouts():
    chosen = options(max_step_offset=4, stride=100)
    touched = touched_timesteps(chosen, LAST, bins=10)
    random = np.random.default_rng(1)
    t = random.integers(0, LAST + 1, 100_000)
    k = cut(offsets_from(random.random(len(t)), chosen), t, 100, LAST)
    source = t + k * 100
    edges = touched["edges"]
    np.testing.assert_allclose(touched["target"], np.histogram(t, edges)[0] / len(t), atol=0.005)
    np.testing.assert_allclose(touched["source"], np.histogram(source, edges)[0] / len(t), atol=0.005)
    inside = [((k > 0) & (t < high) & (source >= low)).mean() for low, high in pairwise(edges)]
    np.testing.assert_allclose(touched["covered"], inside, atol=0.01)


def test_without_rollouts_nothing_is_covered():
    touched = touched_timesteps(options(max_step_offset=0), LAST, bins=7)
    assert touched["covered"].tolist() == [0.0] * 7
    np.testing.assert_allclose(touched["source"], touched["target"])


def test_the_share_after_the_cut_is_a_distribution():
    share = cut_distribution(options(max_step_offset=9, stride=111), LAST)
    assert share.sum() == pytest.approx(1.0)
    assert share[0] > 1 / 10
