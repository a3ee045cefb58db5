"""ReflexFlow's two terms: their closed forms, and that they do something at the sizes of real latents."""

import pytest
import torch

from core.rollout.reflexflow import compensation_weights, direction_loss

SIZES = [(4, 64, 64), (16, 128, 128)]


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_direction_loss_is_0_along_the_way_and_4_against_it_whatever_the_lengths():
    clean, way = noise(3, 4, 8, 8), noise(3, 4, 8, 8, seed=1)
    rolled = clean + way
    found = [direction_loss(scale * way, rolled, clean) for scale in (0.1, 7.0, -2.0)]
    torch.testing.assert_close(found[0], torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[2], torch.full((3,), 4.0))


def test_the_direction_loss_is_2_minus_2_cosines():
    velocity, rolled, clean = noise(5, 16), noise(5, 16, seed=1), noise(5, 16, seed=2)
    cosine = torch.nn.functional.cosine_similarity(velocity, rolled - clean)
    torch.testing.assert_close(direction_loss(velocity, rolled, clean), 2 - 2 * cosine)


def test_the_direction_loss_sees_the_inside_of_the_mask_only():
    velocity, rolled, clean = (noise(2, 4, 8, 8, seed=seed) for seed in range(3))
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[..., :3] = True
    inside = direction_loss(velocity[..., :3], rolled[..., :3], clean[..., :3])
    torch.testing.assert_close(direction_loss(velocity, rolled, clean, mask), inside)


def test_a_direction_without_length_is_finite_and_has_a_finite_gradient():
    velocity = torch.zeros(1, 4, 2, 2, requires_grad=True)
    direction_loss(velocity, torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)).sum().backward()
    assert torch.isfinite(velocity.grad).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_weights_have_mean_1_and_differ_at_the_size_of_a_latent(size, alpha):
    weights = compensation_weights(noise(2, *size), noise(2, *size, seed=1), alpha)
    torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(2))
    assert (weights - 1).square().mean().sqrt() > 0.3 * min(alpha, 1)


@pytest.mark.parametrize("size", SIZES)
def test_compensation_changes_the_loss_measurably(size):
    """Errors that are larger where the prediction changed: the loss must grow, not by 1e-5 of itself."""
    change = noise(1, *size)
    biased, unbiased = noise(1, *size, seed=1), noise(1, *size, seed=1) + change
    squares = change.square()
    plain = squares.mean()
    weighted = (compensation_weights(biased, unbiased, 1.0) * squares).mean()
    assert weighted > 1.3 * plain


def test_weights_are_the_formula():
    change = torch.tensor([[1.0, 3.0, 0.0, 0.0]])
    weights = compensation_weights(torch.zeros(1, 4), change, alpha=2.0)
    raw = torch.tensor([[1.0, 4.0, 0.0, 0.0]])  # 1 + 2 (1 - 1), 1 + 2 (3 - 1) cut to 4, 1 + 2 (0 - 1) cut to 0
    torch.testing.assert_close(weights, raw / raw.mean())


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1000.0])
def test_no_change_of_the_prediction_weights_all_alike(alpha):
    prediction = noise(2, 4, 8, 8)
    assert torch.equal(compensation_weights(prediction, prediction, alpha), torch.ones(2, 4, 8, 8))


def test_alpha_zero_weights_all_alike():
    weights = compensation_weights(noise(2, 4, 8, 8), noise(2, 4, 8, 8, seed=1), 0.0)
    torch.testing.assert_close(weights, torch.ones(2, 4, 8, 8))


def test_weights_have_mean_1_inside_the_mask_and_are_0_outside():
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[:, :, :2] = True
    weights = compensation_weights(noise(2, 4, 8, 8), noise(2, 4, 8, 8, seed=1), 1.0, mask)
    assert (weights[:, :, 2:] == 0).all()
    torch.testing.assert_close(weights[:, :, :2].mean((1, 2, 3)), torch.ones(2))


def test_weights_carry_no_gradient():
    prediction = noise(1, 4, 8, 8).requires_grad_()
    assert not compensation_weights(prediction, noise(1, 4, 8, 8, seed=1), 1.0).requires_grad
