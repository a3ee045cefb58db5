"""End-of-chain scores: what finished samples are like beside the latents that were trained on (M3, M4 and M8).

Samples are free-running: from pure noise to clean, unpaired, scored as clean latents. All sums are float32.
Distances are per element, `rms(a - b) = sqrt(mean (a - b)²)`, in the latent's own unit, so that they do not grow with
the picture. Every score compares arms; none is a verdict, least of all with a few dozen samples.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

BANDS = 6
HIGH_BANDS = 2
"""How many of the bands, from the finest down, count as high frequency: from 0.31 cycles per latent pixel on."""
BORDER = 4
"""Width of the border, in pixels of the picture; the embedded base's art keeps clear of it at 64 pixels."""


def log_variance(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> float:
    """V at the end of the chain (M3 at alpha = 1, sigma = 0): `ln(mean samples² / m2)`, `m2 = mean clean²`.

    Returns:
        In nats; 0 = as strong as the training latents, below 0 shrunk, -inf for samples of nothing. The sampler's own
        error is in it: read it minus the teacher-forced arm's with equal seeds and sampler.
    """
    return torch.log(_power(samples).mean() / _power(clean).mean()).item()


def channel_log_variance(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> tuple[float, ...]:
    """:func:`log_variance` of each channel by itself, (c,)."""
    return tuple(torch.log(_power(samples) / _power(clean)).tolist())


def _power(latents: Tensor) -> Tensor:
    """(c,), mean square of each channel."""
    return latents.float().square().mean((0, 2, 3))


def band_energy(latents: Float[Tensor, "n c h w"], bands: int = BANDS) -> Float[Tensor, "bands"]:
    """Mean power of a Fourier coefficient in radial frequency bands, coarse to fine (M4).

    Each channel of each latent loses its own mean, is weighted by a Hann window w and transformed. A coefficient's
    power is divided by what white noise of variance 1 has there after the same treatment,
    `sum w² - |W(f)|² / (h w)` with W the window's transform: white noise of variance v has energy v in every band, a
    flat latent 0, and nothing of the mean leaks into the coarsest band.

    Args:
        latents: clean latents.
        bands: number of bands, log-spaced in radius from one cycle per longer side to the corner, sqrt(1/2) cycles
            per pixel. The coefficient of frequency 0 is in none.

    Returns:
        (bands,), in squared latent units, mean over latents, channels and the band's coefficients.

    Raises:
        ValueError: the latents are too small for so many bands: one would be empty.
    """
    height, width = latents.shape[-2:]
    window = (_hann(height)[:, None] * _hann(width)).to(latents.device)
    centred = latents.float() - latents.float().mean((-2, -1), keepdim=True)
    white = window.square().sum() - torch.fft.fft2(window).abs().square() / window.numel()
    place = _band_of(height, width, bands).to(latents.device)
    inside = place >= 0
    power = torch.fft.fft2(centred * window).abs().square().mean((0, 1))[inside] / white[inside]
    found = torch.zeros(bands, device=latents.device).index_add_(0, place[inside], power)
    count = torch.bincount(place[inside], minlength=bands)
    if bool((count == 0).any()):
        raise ValueError(f"latents must be larger for {bands} bands, got {height} x {width}")
    return found / count


def band_log_ratio(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> tuple[float, ...]:
    """`ln E_b[samples] - ln E_b[clean]` for each band, in nats, coarse to fine; below 0 the samples lack that band."""
    return tuple(torch.log(band_energy(samples) / band_energy(clean)).tolist())


def high_frequency_ratio(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> float:
    """Energy of the finest :data:`HIGH_BANDS` bands over that of the training latents; 1 = alike, below 1 smoother.

    A ratio, not a logarithm. The bands' energies per coefficient are weighted by how many coefficients they have.
    """
    height, width = clean.shape[-2:]
    place = _band_of(height, width, BANDS)
    share = torch.bincount(place[place >= 0], minlength=BANDS)[-HIGH_BANDS:].float()
    own, theirs = ((band_energy(latents)[-HIGH_BANDS:].cpu() * share).sum() for latents in (samples, clean))
    return (own / theirs).item()


def _hann(length: int) -> Tensor:
    """`sin²(pi (n + 1/2) / length)`: symmetric about the middle of the picture, with no weight of exactly 0."""
    place = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    return torch.sin(math.pi * place).square().float()


def _band_of(height: int, width: int, bands: int) -> Tensor:
    """(h, w), the band of each coefficient of fft2, -1 for frequency 0."""
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    radius = (rows[:, None].square() + columns.square()).sqrt()
    lowest, highest = 1 / max(height, width), math.sqrt(0.5)
    place = bands * torch.log(radius.clamp(min=lowest) / lowest) / math.log(highest / lowest)
    # the small allowance keeps a coefficient on a band's lower edge inside that band
    return torch.where(radius > 0, (place + 1e-9).floor().long().clamp(max=bands - 1), -1)


def bands_fit(height: int, width: int, bands: int = BANDS) -> bool:
    """Whether latents of this size have a coefficient in every band."""
    place = _band_of(height, width, bands)
    return bool((torch.bincount(place[place >= 0], minlength=bands) > 0).all())


def nearest_distances(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> Float[Tensor, " n"]:
    """Distance of each sample to the nearest training latent, rms per element; 0 is a copy."""
    return distances(samples, clean).min(1).values


def nearest_distance(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> float:
    """nn: mean over the samples of the distance to the nearest training latent, rms per element.

    Lower is closer to the subject, and 0 is a copy: read it with :func:`diversity`.
    """
    return nearest_distances(samples, clean).mean().item()


def diversity(samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"]) -> float:
    """Mean distance (rms per element) of two different samples over that of two different training latents.

    1 = as varied as the training set. Linear in the latents: samples scaled by c about any point have c times as much.

    Raises:
        ValueError: fewer than two samples or training latents, or training latents that are all equal.
    """
    if len(samples) < 2 or len(clean) < 2:
        raise ValueError(f"diversity needs two latents of either sort, got {len(samples)} and {len(clean)}")
    own, theirs = (_pairwise(latents) for latents in (samples, clean))
    if theirs == 0:
        raise ValueError("diversity needs training latents that differ")
    return own / theirs


def _pairwise(latents: Tensor) -> float:
    """Mean over all pairs of two different latents."""
    count = len(latents)
    return distances(latents, latents).sum().item() / (count * (count - 1))


def distances(a: Float[Tensor, "n c h w"], b: Float[Tensor, "m c h w"]) -> Float[Tensor, "n m"]:
    """Rms per element of every difference; exactly 0 between equal latents."""
    flat_a, flat_b = (latents.float().flatten(1) for latents in (a, b))
    exact = torch.cdist(flat_a, flat_b, compute_mode="donot_use_mm_for_euclid_dist")
    return exact / math.sqrt(flat_a.shape[1])


def border_error(
    pictures: Float[Tensor, "n 3 height width"], colours: Float[Tensor, "n 3"], width: int = BORDER
) -> float:
    """Prompt adherence where a prompt names a flat background: mean |pixel - colour| over the border.

    Args:
        pictures: decoded, 0..1.
        colours: what was asked for, one a picture, 0..1.
        width: of the border on each side, in pixels.

    Returns:
        0..1, share of the full range of a colour channel; 0 = the whole border has the colour.

    Raises:
        ValueError: the border is wider than half a picture.
    """
    if not 0 < 2 * width <= min(pictures.shape[-2:]):
        raise ValueError(f"width must be above 0 and at most half a picture, got {width}")
    border = torch.ones(pictures.shape[-2:], dtype=torch.bool, device=pictures.device)
    border[width:-width, width:-width] = False
    return (pictures.float()[:, :, border] - colours.float()[:, :, None]).abs().mean().item()
