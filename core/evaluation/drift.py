"""The paired drift probe: how far a model's own path leaves the true one, on the grid that it samples on.

All in x0 space with ``x_t = alpha x0 + sigma e``; ``m2`` is the mean square of the clean latents.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.lag import lag, lag_residual
from core.evaluation.short import REACH, TARGETS, Landing, ShortPaths
from core.evaluation.variance import state_channel_log_variance, state_log_variance
from core.noise.denoiser import Denoiser
from core.noise.schedule import NoiseSchedule


@dataclass(frozen=True)
class Probe:
    """What a probe found, one value a probed timestep, clean end first.

    Attributes:
        timesteps: where the states landed.
        m1: M1, paired drift: rms(rolled - noisy) / sqrt(alpha² m2 + sigma²). Above 0 even for a perfect model: compare
            arms only.
        v: V, log variance: ln(mean rolled² / (alpha² m2 + sigma²)). Below 0 the states shrink; the sampler's own error
            is in it, so read it against another arm at the same step.
        v_channels: V by channel.
        lag: M2, in grid steps: ``core.evaluation.lag``.
        lag_residual: of M2, relative rms.
        forwards: sample-forwards that it took.
    """

    timesteps: tuple[float, ...]
    m1: tuple[float, ...]
    v: tuple[float, ...]
    v_channels: tuple[tuple[float, ...], ...]
    lag: tuple[float, ...]
    lag_residual: tuple[float, ...]
    forwards: int


def rolled_drift(
    rolled: Float[Tensor, "batch ..."], noisy: Float[Tensor, "batch ..."], alpha: Float[Tensor, "batch"],
    sigma: Float[Tensor, "batch"], m2: float,
) -> Float[Tensor, ""]:  # fmt: skip
    """M1 over a batch of own timesteps: the root mean of ``squared_drift``.

    >>> import torch
    >>> noisy = torch.zeros(2, 1, 2, 2)
    >>> rolled_drift(noisy + 0.5, noisy, torch.zeros(2), torch.ones(2), 1.0)
    tensor(0.5000)
    """
    return squared_drift(rolled, noisy, alpha, sigma, m2).mean().sqrt()


def squared_drift(
    rolled: Float[Tensor, "batch ..."], noisy: Float[Tensor, "batch ..."], alpha: Float[Tensor, "batch"],
    sigma: Float[Tensor, "batch"], m2: float,
) -> Float[Tensor, "batch"]:  # fmt: skip
    """M1² of each item: mean (rolled - noisy)² / (alpha² m2 + sigma²)."""
    scale = alpha.square() * m2 + sigma.square()
    return (rolled.float() - noisy.float()).square().flatten(1).mean(1) / scale


@torch.no_grad()  # as in ``PipelineFamily.sample``
def paired_probe(
    denoiser: Denoiser,
    clean: Float[Tensor, "pairs c h w"],
    noise: Float[Tensor, "pairs c h w"],
    *,
    schedule: NoiseSchedule,
    kind: str,
    grid: Float[Tensor, "points"],
    reach: int = REACH,
    targets: int = TARGETS,
) -> Probe:
    """Short self-generated states against the true ones, from the same pairs.

    From each pair's true state ``reach`` grid points above a probed timestep, the model steps down with the plain
    first-order sampler; what arrives is compared with the pair's true state there.

    Args:
        denoiser: in evaluation mode; ``items`` are the pairs.
        clean: latents.
        noise: the noise of each pair, equal in all arms.
        schedule: noise schedule.
        kind: what the denoiser predicts.
        grid: the sampler's timesteps, ascending, without 0.
        reach: grid steps of each rollout, at most the grid's length - 1.
        targets: how many grid points are probed, evenly spaced from the first.
    """
    paths = ShortPaths(denoiser, clean, noise, schedule=schedule, kind=kind, grid=grid, reach=reach, targets=targets)
    rows = [{"timesteps": landing.timestep, **state_metrics(paths, landing)} for landing in paths.landings()]
    columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
    return Probe(**columns, forwards=paths.forwards)


def state_metrics(paths: ShortPaths, landing: Landing) -> dict[str, Any]:
    """The metrics that need no forward but the path's own: m1, v, v_channels, lag and lag_residual (:class:`Probe`)."""
    rolled, place, pair = landing.rolled, landing.target, (paths.clean, paths.noise)
    alpha, sigma = place.alpha[0].item(), place.sigma[0].item()
    return {
        "m1": rolled_drift(rolled, landing.noisy, place.alpha, place.sigma, paths.m2).item(),
        "v": state_log_variance(rolled, alpha, sigma, paths.m2),
        "v_channels": state_channel_log_variance(rolled, paths.clean, alpha, sigma),
        "lag": lag(rolled, *pair, landing.timestep, schedule=paths.schedule, grid=paths.grid),
        "lag_residual": lag_residual(rolled, *pair, alpha, sigma),
    }
