"""The distance of the nearest pair, by hand; and the timestep where the noise has grown to a quarter of it."""

import pytest
import torch
from noise_schedules import SCHEDULES

from core.rollout import identifiability
from core.rollout.identifiability import level, smallest_distance, timestep_at


def at(*places):
    """Latents of 1x2x2 along one axis."""
    latents = torch.zeros(len(places), 1, 2, 2)
    latents[:, 0, 1, 0] = torch.tensor([float(place) for place in places])
    return latents


def test_the_nearest_pair_of_a_group_counts_and_no_pair_across_groups():
    assert smallest_distance([at(0, 5, 7), at(1, 20)]) == pytest.approx(2.0)


def test_identical_latents_are_one():
    assert smallest_distance([at(3, 3, 10, 10, 3)]) == pytest.approx(7.0)
    assert smallest_distance([torch.cat([at(0), -at(0), at(4)])]) == pytest.approx(4.0)


@pytest.mark.parametrize("groups", [[], [at(1)], [at(2, 2, 2)], [at(1), at(2)]])
def test_without_two_distinct_latents_of_one_caption_there_is_none(groups):
    assert smallest_distance(groups) is None


def test_blocks_see_every_pair(monkeypatch):
    """The nearest pair lies in two blocks; every place of the first of the two is tried."""
    latents = torch.randn(23, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    flat = latents.flatten(1).double()
    expected = torch.pdist(flat).min().item()
    for size in (1, 5, 8, 100):
        monkeypatch.setattr(identifiability, "BLOCK", size)
        assert smallest_distance([latents]) == pytest.approx(expected, rel=1e-9)


def test_near_twins_far_from_the_origin_keep_their_distance():
    latents = 1000 + torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    latents[4] = latents[1]
    latents[4, 0, 0, 0] += 2.0**-10
    assert smallest_distance([latents]) == pytest.approx(2.0**-10, rel=1e-9)


def test_the_level_is_a_quarter_of_the_distance():
    assert level(8.0) == 2.0


def test_on_the_straight_path_the_timestep_is_known_in_closed_form():
    assert timestep_at(3.0, SCHEDULES["flow"]) == pytest.approx(750.0)
    assert timestep_at(0.25, SCHEDULES["flow"]) == pytest.approx(200.0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("ratio", [0.2, 1.0, 5.0])
def test_at_that_timestep_sigma_over_alpha_is_the_level(name, ratio):
    schedule = SCHEDULES[name]
    there = torch.tensor([timestep_at(ratio, schedule)], dtype=torch.float64)
    assert float(schedule.sigma(there) / schedule.alpha(there)) == pytest.approx(ratio, rel=1e-6)


def test_a_level_beyond_the_noise_schedule_is_its_end():
    assert timestep_at(1e9, SCHEDULES["stable_diffusion"]) == 999.0
    assert timestep_at(1e-9, SCHEDULES["stable_diffusion"]) == 0.0
