"""Energy distance: known values, and a p that means what it says."""

import math

import pytest
import torch
from scipy import stats

from core.evaluation.energy_distance import energy_distance


def latents(count, seed, channels=2, side=4):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_equal_sets_have_distance_zero_and_are_no_surprise():
    found = energy_distance(latents(7, 0), latents(7, 0).flip(0))
    assert found.distance == pytest.approx(0.0, abs=1e-6)
    assert found.p == 1.0


def test_two_points_lie_apart_by_the_root_of_twice_their_distance():
    zero = torch.zeros(1, 2, 4, 4)
    assert energy_distance(zero + 0.32, zero).distance == pytest.approx(0.8, rel=1e-5)
    assert energy_distance(zero.expand(3, 2, 4, 4) + 0.32, zero).distance == pytest.approx(0.8, rel=1e-5)


def test_of_single_numbers_it_is_scipys():
    x, y = latents(9, 1, 1, 1), 1.5 * latents(14, 2, 1, 1) + 0.3
    expected = stats.energy_distance(x.flatten().numpy(), y.flatten().numpy())
    assert energy_distance(x, y).distance == pytest.approx(expected, rel=1e-5)


def test_it_does_not_grow_with_the_picture_and_goes_with_the_root_of_the_scale():
    x, y = latents(6, 3), latents(8, 4) + 1
    once = energy_distance(x, y)
    assert energy_distance(x.repeat(1, 1, 3, 3), y.repeat(1, 1, 3, 3)).distance == pytest.approx(once.distance)
    assert energy_distance(4 * x, 4 * y).distance == pytest.approx(2 * once.distance, rel=1e-5)
    assert energy_distance(4 * x, 4 * y).p == once.p


def test_a_shift_is_found():
    found = energy_distance(latents(12, 5) + 0.5, latents(8, 6))
    assert found.p <= 0.01
    assert found.distance > energy_distance(latents(12, 5), latents(8, 6)).distance


def test_samples_that_are_all_alike_are_found_even_in_the_right_place():
    clean = latents(10, 7)
    assert energy_distance(clean.mean(0, keepdim=True).expand(10, -1, -1, -1), clean).p <= 0.01


def test_under_no_effect_p_is_as_small_as_it_says():
    """300 pairs of sets from one distribution: p below any level as often as the level says, and 1/2 in the mean."""
    values = torch.tensor(
        [energy_distance(latents(8, 1000 + i, 1, 2), latents(5, 5000 + i, 1, 2), permutations=99).p for i in range(300)]
    )
    for level in (0.05, 0.2, 0.5, 0.8):
        error = math.sqrt(level * (1 - level) / len(values))
        assert abs((values <= level).float().mean().item() - level) < 3.5 * error
    assert values.min() >= 0.01


def test_the_same_question_has_the_same_answer_and_the_global_randomness_is_left_alone():
    before = torch.get_rng_state()
    first = energy_distance(latents(6, 8), latents(5, 9))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(77)
    assert energy_distance(latents(6, 8), latents(5, 9)) == first


def test_latents_that_are_not_finite_have_no_distance():
    broken = latents(4, 0)
    broken[1, 0, 0, 0] = math.nan
    found = energy_distance(broken, latents(4, 1))
    assert math.isnan(found.distance)
    assert math.isnan(found.p)
