"""M2, lag: whether a state is as noisy as the noise schedule says where it stands, in steps of the sampling grid.

Above 0 it is noisier, which is behind the schedule; below 0 it is ahead. What neither the clean latent nor the noise of
the pair explains is new structure: the residual.

A perfect model's states lie above 0 for data of more than one picture: they hold less of this pair's clean latent.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.schedule import NoiseSchedule


@dataclass(frozen=True)
class Mixture:
    """The least-squares fit `x̂ ≈ signal · x0 + noise · e` over all elements of all pairs.

    Attributes:
        signal: NaN, like all three, where x0 and e do not tell the two apart (x0 = 0).
        noise: alike.
        residual: root mean square of what they do not explain, in latent units.
    """

    signal: float
    noise: float
    residual: float


def mixture(
    states: Float[Tensor, "n ..."], clean: Float[Tensor, "n ..."], noise: Float[Tensor, "n ..."]
) -> Mixture:  # fmt: skip
    """Solves the two normal equations.

    Args:
        states: x̂.
        clean: x0 of each pair.
        noise: e of each pair.
    """
    x, c, e = (latents.float() for latents in (states, clean, noise))
    cc, ee, ce, xc, xe = (_mean(a, b) for a, b in ((c, c), (e, e), (c, e), (x, c), (x, e)))
    determinant = cc * ee - ce * ce
    if determinant <= 0:
        return Mixture(math.nan, math.nan, math.nan)
    signal, share = (xc * ee - xe * ce) / determinant, (xe * cc - xc * ce) / determinant
    return Mixture(signal, share, (x - signal * c - share * e).square().mean().sqrt().item())


def lag(
    states: Float[Tensor, "n ..."], clean: Float[Tensor, "n ..."], noise: Float[Tensor, "n ..."], timestep: float, *,
    schedule: NoiseSchedule, grid: Float[Tensor, "points"],
) -> float:  # fmt: skip
    """How many grid steps the states are noisier than their timestep says.

    Flow matching: the sigma that suits them best is their projection on the straight path,
    `<x̂ - x0, e - x0> / ||e - x0||²`. Variance preserving: the angle `atan2(noise, signal)` of :func:`mixture` stands
    for sigma. Their distance from the sigma (angle) of the timestep is divided by the local spacing of the grid. It is
    followed from grid point to grid point, so that the true state of the grid point k above has a lag of k on an
    uneven grid too; beyond its ends the last spacing counts.

    Args:
        states: x̂, all at ``timestep``.
        clean: x0 of each pair.
        noise: e of each pair.
        timestep: where the states stand.
        schedule: noise schedule.
        grid: the sampler's timesteps, ascending; a clean end (sigma = 0) is put before them.

    Returns:
        In grid steps; NaN where the pairs do not tell.
    """
    if schedule.form == "flow_matching":
        path = noise.float() - clean.float()
        level = _mean(states.float() - clean.float(), path) / _mean(path, path)
    else:
        found = mixture(states, clean, noise)
        level = math.atan2(found.noise, found.signal)
    levels = [0.0, *_levels(schedule, grid)]
    return _index(levels, level) - _index(levels, _levels(schedule, torch.tensor([timestep]))[0])


def lag_residual(
    states: Float[Tensor, "n ..."], clean: Float[Tensor, "n ..."], noise: Float[Tensor, "n ..."], alpha: float,
    sigma: float,
) -> float:  # fmt: skip
    """The residual of :func:`mixture` over `sqrt(alpha² m2 + sigma²)`, m2 = mean x0²; 0 = nothing new."""
    m2 = clean.float().square().mean().item()
    return mixture(states, clean, noise).residual / math.sqrt(alpha**2 * m2 + sigma**2)


def _levels(schedule: NoiseSchedule, timesteps: Tensor) -> list[float]:
    """Sigma for flow matching, else the angle from the clean end, which rises just the same."""
    place = schedule.place(timesteps.detach().cpu().double())
    rising = place.sigma if schedule.form == "flow_matching" else torch.atan2(place.sigma, place.alpha)
    return rising.tolist()


def _index(levels: list[float], level: float) -> float:
    """Where a level lies among rising ones, linear in between and beyond."""
    if math.isnan(level):
        return math.nan
    place = min(max(bisect_left(levels, level), 1), len(levels) - 1)
    low, high = levels[place - 1], levels[place]
    return place - 1 + (level - low) / (high - low)


def _mean(a: Tensor, b: Tensor) -> float:
    return (a * b).mean().item()
