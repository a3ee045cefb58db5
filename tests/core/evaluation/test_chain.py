"""End-of-chain scores on latents whose scores are known."""

import math

import pytest
import torch

from core.evaluation.chain import (
    BANDS,
    HIGH_BANDS,
    band_energy,
    band_log_ratio,
    border_error,
    channel_log_variance,
    diversity,
    high_frequency_ratio,
    log_variance,
    nearest_distance,
)


def latents(count=6, side=16, channels=4, seed=0):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def wave(rows, columns, side=16):
    """One latent that is a pure cosine of so many cycles down and across."""
    place = torch.arange(side) / side
    return torch.cos(2 * math.pi * (rows * place[:, None] + columns * place))[None, None]


def test_v_of_scaled_latents_is_twice_the_log_of_the_scale():
    clean = latents()
    assert log_variance(0.8 * clean, clean) == pytest.approx(2 * math.log(0.8), abs=1e-5)
    assert log_variance(clean.flip(0), clean) == pytest.approx(0.0, abs=1e-6)


def test_v_finds_the_channel_that_shrank():
    clean = latents()
    scale = torch.tensor([1.0, 0.5, 1.0, 2.0])
    found = channel_log_variance(clean * scale.view(1, -1, 1, 1), clean)
    assert found == pytest.approx((2 * scale.log()).tolist(), abs=1e-5)


def test_v_weighs_every_latent_alike_whatever_their_numbers():
    clean = latents()
    assert log_variance(torch.cat([clean, clean]), clean) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("shape", [(16, 16), (32, 32), (16, 24)])
def test_white_noise_has_its_variance_in_every_band(shape):
    noise = 1.5 * torch.randn(3000, 1, *shape, generator=torch.Generator().manual_seed(1))
    energy = band_energy(noise)
    assert energy.shape == (BANDS,)
    assert energy.tolist() == pytest.approx([1.5**2] * BANDS, rel=0.04)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_scaling_moves_every_band_by_the_log_of_its_square(scale):
    clean = latents()
    assert band_log_ratio(scale * clean, clean) == pytest.approx([2 * math.log(scale)] * BANDS, abs=1e-4)
    assert high_frequency_ratio(scale * clean, clean) == pytest.approx(scale**2, rel=1e-4)


# edges: 1, 1.50, 2.24, 3.36, 5.04, 7.55 and 11.3 cycles over 16 pixels
@pytest.mark.parametrize(
    ("rows", "columns", "band"), [(0, 2, 1), (2, 2, 2), (3, 3, 3), (0, 6, 4), (5, 4, 4), (8, 0, 5), (7, 7, 5)]
)
def test_a_pure_wave_lands_in_its_band(rows, columns, band):
    energy = band_energy(wave(rows, columns))
    assert energy.argmax().item() == band
    far = torch.arange(BANDS).sub(band).abs() > 2
    assert energy[far].sum() < 1e-6 * energy[band]  # the window leaks into the next coefficients, no further


@pytest.mark.parametrize(("rows", "columns", "band"), [(8, 0, 4), (0, 8, 4), (4, 4, 3), (1, 0, 0)])
def test_a_coefficient_on_an_edge_belongs_to_the_finer_band(rows, columns, band):
    """At 32 pixels the edges are 2^(3/4 k) cycles: 8 is on one, whatever the rounding."""
    assert band_energy(wave(rows, columns, side=32)).argmax().item() == band


def test_a_mirrored_latent_has_the_same_bands():
    lopsided = latents(count=1) * torch.linspace(0, 2, 16)
    for axis in (-1, -2):
        assert band_energy(lopsided.flip(axis)).tolist() == pytest.approx(band_energy(lopsided).tolist(), rel=1e-4)


def test_a_flat_latent_has_no_energy_and_an_offset_adds_none():
    clean = latents()
    assert band_energy(torch.full((1, 2, 16, 16), 7.0)).max() < 1e-9
    assert band_energy(clean + 5.0).tolist() == pytest.approx(band_energy(clean).tolist(), rel=1e-3)


def test_the_border_does_not_count_as_detail():
    """A ramp jumps from its last pixel to its first when it is repeated; the window hides the jump."""
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    energy = band_energy(ramp)
    assert energy[-HIGH_BANDS:].sum() < 1e-3 * energy[0]


def test_blur_lowers_the_fine_bands_only():
    clean = latents(count=40, seed=2)
    blurred = sum(clean.roll(shift, -1) for shift in (-1, 0, 1)) / 3
    blurred = sum(blurred.roll(shift, -2) for shift in (-1, 0, 1)) / 3
    ratio = band_log_ratio(blurred, clean)
    assert ratio[0] > -0.3
    assert ratio[-1] < ratio[0] - 1
    assert high_frequency_ratio(blurred, clean) < 0.3


def test_the_high_frequency_ratio_is_blind_to_coarse_waves():
    clean = latents(count=40, seed=3)
    assert high_frequency_ratio(clean + 3 * wave(0, 2), clean) == pytest.approx(1.0, abs=1e-4)
    assert high_frequency_ratio(clean + 3 * wave(0, 7), clean) > 1.1


def test_the_high_frequency_ratio_is_one_of_energies():
    """White noise has 1 in each of 175 fine coefficients (81 of 256 lie within 5.04 cycles); a cosine adds 256 / 2."""
    clean = latents(count=500, seed=4)
    assert high_frequency_ratio(clean + wave(5, 5), clean) == pytest.approx(1 + 128 / 175, rel=0.01)


def test_latents_that_are_too_small_for_the_bands_are_refused():
    with pytest.raises(ValueError, match="larger for 6 bands, got 4 x 4"):
        band_energy(latents(side=4))


def test_a_copy_is_at_distance_zero_and_an_offset_at_its_own_length():
    clean = latents()
    assert nearest_distance(clean[[2, 5]], clean) == 0.0
    assert nearest_distance(clean + 0.3, clean) == pytest.approx(0.3, rel=1e-4)


def test_the_nearest_training_latent_is_the_one_that_counts():
    clean = torch.stack([torch.zeros(2, 4, 4), torch.ones(2, 4, 4)])
    samples = torch.stack([torch.full((2, 4, 4), 0.9), torch.full((2, 4, 4), 0.2)])
    assert nearest_distance(samples, clean) == pytest.approx((0.1 + 0.2) / 2, rel=1e-4)


def test_distances_do_not_grow_with_the_picture():
    small, large = (nearest_distance(torch.full((1, 4, s, s), 2.0), torch.zeros(1, 4, s, s)) for s in (8, 32))
    assert small == pytest.approx(large) == pytest.approx(2.0)


def test_samples_scaled_about_their_mean_are_as_much_less_diverse():
    clean = latents()
    centre = clean.mean(0, keepdim=True)
    assert diversity(centre + 0.7 * (clean - centre), clean) == pytest.approx(0.7, rel=1e-4)
    assert diversity(clean.flip(0) + 4.0, clean) == pytest.approx(1.0, rel=1e-4)


def test_one_picture_over_and_over_has_no_diversity():
    clean = latents()
    assert diversity(clean[:1].expand(5, -1, -1, -1), clean) == 0.0


def test_diversity_is_a_mean_over_different_pairs():
    """Distances 1, 1 and 2 among three samples against 4 between two training latents, rms per element."""
    samples = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1).expand(3, 2, 4, 4)
    clean = torch.tensor([0.0, 4.0]).view(2, 1, 1, 1).expand(2, 2, 4, 4)
    assert diversity(samples, clean) == pytest.approx((1 + 1 + 2) / 3 / 4)


@pytest.mark.parametrize(("samples", "clean"), [(1, 4), (4, 1)])
def test_diversity_of_a_single_latent_is_refused(samples, clean):
    with pytest.raises(ValueError, match="two latents"):
        diversity(latents(samples), latents(clean))


def test_diversity_against_equal_training_latents_is_refused():
    with pytest.raises(ValueError, match="differ"):
        diversity(latents(), latents(1).expand(3, -1, -1, -1))


def test_a_border_of_the_colour_asked_for_has_no_error_whatever_is_inside():
    colours = torch.tensor([[0.2, 0.4, 0.8], [1.0, 1.0, 1.0]])
    pictures = colours[:, :, None, None].repeat(1, 1, 32, 32)
    pictures[:, :, 4:-4, 4:-4] = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert border_error(pictures, colours) == 0.0
    assert border_error(pictures, colours, width=5) > 0.01


def test_the_border_error_is_the_mean_absolute_distance_of_each_picture_to_its_own_colour():
    pictures = torch.tensor([0.5, 0.0]).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    colours = torch.tensor([[0.5, 0.5, 0.8], [0.0, 0.0, 0.0]])
    assert border_error(pictures, colours) == pytest.approx(0.3 / 3 / 2)


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_all_four_sides_are_looked_at(side):
    picture = torch.zeros(1, 3, 16, 16)
    rows, columns = {
        "top": (slice(4), slice(None)), "bottom": (slice(-4, None), slice(None)),
        "left": (slice(None), slice(4)), "right": (slice(None), slice(-4, None)),
    }[side]  # fmt: skip
    picture[:, :, rows, columns] = 1.0
    assert border_error(picture, torch.zeros(1, 3)) == pytest.approx(64 / (256 - 64))


@pytest.mark.parametrize("width", [0, 9])
def test_a_border_that_is_no_border_is_refused(width):
    with pytest.raises(ValueError, match="width"):
        border_error(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3), width=width)
