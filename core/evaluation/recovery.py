"""The recovery gap M5: what a model makes of its own states, short paired rollouts on the grid that it samples on.

`D(x, t)` is the model's clean estimate, `l(x, t) = ||D(x, t) - x0||² / d` its error, d the elements of a latent, `x_u`
the true state that a rollout starts from, `x_t` the true and `x̂_t` the rolled state where it ends. All of it is in
squared latent units, mean over pairs, per element.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.short import REACH, TARGETS, ShortPaths
from core.noise.denoiser import Denoiser
from core.noise.schedule import NoiseSchedule


@dataclass(frozen=True)
class Recovery:
    """The gaps, one value a probed timestep, clean end first.

    Rollout training lowers G0 and G1 even while samples get worse (G0 is close to its own loss): never show them
    without V, G2 and the end-of-chain scores.

    Attributes:
        timesteps: where the rollouts ended.
        g0: `l(x̂_t) - l(x_t)`: how much worse the model does on its own state than on the true one.
        g1: `l(x̂_t) - l(x_u)`: how much worse than where it started; below 0 while sampling works.
        g2: `G1 - ||D(x̂_t) - D(x_u)||² / d`. 0 for an exact denoiser: `D(x_u)` is then the mean of x0 given x_u, and a
            state that was computed from x_u can tell nothing more about x0. Above 0 errors are carried along, below 0
            the model is over-shrunk.
        forwards: sample-forwards that it took.
    """

    timesteps: tuple[float, ...]
    g0: tuple[float, ...]
    g1: tuple[float, ...]
    g2: tuple[float, ...]
    forwards: int


def recovery_gaps(
    own: Float[Tensor, "pairs ..."], true: Float[Tensor, "pairs ..."], before: Float[Tensor, "pairs ..."],
    clean: Float[Tensor, "pairs ..."],
) -> tuple[float, float, float]:  # fmt: skip
    """G0, G1 and G2 from clean estimates, see :class:`Recovery`.

    Args:
        own: `D(x̂_t)`.
        true: `D(x_t)`.
        before: `D(x_u)`.
        clean: x0.

    >>> import torch
    >>> recovery_gaps(torch.tensor([[3.0]]), torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[0.0]]))
    (8.0, 5.0, 4.0)
    """
    own, true, before, clean = (latents.float() for latents in (own, true, before, clean))
    here, there, start = ((estimate - clean).square().mean().item() for estimate in (own, true, before))
    moved = (own - before).square().mean().item()
    return here - there, here - start, here - start - moved


@torch.inference_mode()
def recovery(
    denoiser: Denoiser,
    clean: Float[Tensor, "pairs c h w"],
    noise: Float[Tensor, "pairs c h w"],
    *,
    schedule: NoiseSchedule,
    kind: str,
    grid: Float[Tensor, "points"],
    reach: int = REACH,
    targets: int = TARGETS,
) -> Recovery:
    """Rolls each pair ``reach`` grid steps down to each probed timestep with the plain first-order sampler.

    Args:
        denoiser: in evaluation mode; ``items`` are the pairs.
        clean: latents that were trained on.
        noise: the noise of each pair, equal in all arms.
        schedule: noise schedule.
        kind: what the denoiser predicts.
        grid: the sampler's timesteps, ascending, without 0.
        reach: grid steps of each rollout, at most the grid's length - 1.
        targets: how many grid points are probed, evenly spaced from the first.

    Raises:
        ValueError: the grid has a single point, from which no rollout can end on another.
    """
    if len(grid) < 2:
        raise ValueError(f"grid must have two points or more, got {len(grid)}")
    paths = ShortPaths(
        denoiser, clean, noise, schedule=schedule, kind=kind, grid=grid, reach=reach, targets=targets
    )  # fmt: skip
    timesteps, gaps = [], []
    for landing in paths.landings():
        own, true = paths.look(landing.rolled, landing.target), paths.true(landing.target)
        timesteps.append(landing.timestep)
        gaps.append(recovery_gaps(own.clean, true.clean, paths.true(landing.source).clean, paths.clean))
    g0, g1, g2 = (tuple(values) for values in zip(*gaps, strict=True))
    return Recovery(tuple(timesteps), g0, g1, g2, paths.forwards)
