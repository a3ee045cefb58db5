"""M6: the coefficient of a linear denoiser is its slope, whatever the displacement."""

import math

import pytest
import torch

from core.evaluation.restoring import isotropic_like, restoring


def latents(seed, count=5):
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.3, 1.0])
def test_a_linear_denoiser_has_its_slope(slope):
    x, dl = latents(0), 0.2 * latents(1)
    assert restoring(slope * (x + dl), slope * x, dl) == pytest.approx(slope, abs=1e-5)


def test_what_is_put_right_counts_against_what_was_moved():
    """Half of the elements are repaired, the others carried along; a move that is twice as long weighs four times."""
    dl = torch.zeros(2, 1, 4, 4)
    dl[0], dl[1] = 1.0, 2.0
    carried = torch.zeros_like(dl)
    carried[1] = dl[1]
    assert restoring(carried, torch.zeros_like(dl), dl) == pytest.approx(4 / 5)


def test_a_change_across_the_displacement_does_not_count():
    x, dl = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    assert restoring(torch.tensor([[[[0.25, 7.0]]]]), x, dl) == pytest.approx(0.25)


def test_nothing_displaced_has_no_coefficient():
    x = latents(0)
    assert math.isnan(restoring(x, x, torch.zeros_like(x)))


def test_the_isotropic_noise_is_as_long_as_each_displacement_and_the_same_every_time():
    dl = latents(2) * torch.tensor([0.1, 1.0, 2.0, 0.5, 0.0]).view(-1, 1, 1, 1)
    state = torch.get_rng_state()
    drawn = isotropic_like(dl, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn.flatten(1).norm(dim=1).tolist() == pytest.approx(dl.flatten(1).norm(dim=1).tolist(), rel=1e-5)
    assert torch.equal(drawn, isotropic_like(dl, seed=3))
    assert not torch.equal(drawn, isotropic_like(dl, seed=4))
    along = torch.nn.functional.cosine_similarity(drawn[:4].flatten(1), dl[:4].flatten(1))
    assert along.abs().max() < 0.3
