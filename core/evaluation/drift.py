"""The paired drift probe: how far a model's own path leaves the true one, on the grid that it samples on.

All in x0 space with ``x_t = alpha x0 + sigma e``; ``m2`` is the mean square of the clean latents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.denoiser import Denoiser
from core.noise.schedule import NoiseSchedule
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan

REACH = 4
"""Grid steps that a probed state was carried by the model itself."""
TARGETS = 5
"""Grid points that are probed."""


@dataclass(frozen=True)
class Probe:
    """What a probe found, one value a probed timestep, clean end first.

    Attributes:
        timesteps: where the states landed.
        m1: M1, paired drift: rms(rolled - noisy) / sqrt(alpha² m2 + sigma²). Above 0 even for a perfect model: compare
            arms only.
        v: V, log variance: ln(mean rolled² / (alpha² m2 + sigma²)). Below 0 the states shrink; the sampler's own error
            is in it, so read it against another arm at the same step.
        forwards: sample-forwards that it took.
    """

    timesteps: tuple[float, ...]
    m1: tuple[float, ...]
    v: tuple[float, ...]
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


@torch.inference_mode()
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
    m2 = clean.square().mean().item()
    timesteps, m1, v, forwards = [], [], [], 0
    for plan in probe_plans(len(clean), grid, reach, targets):
        result = roll(denoiser, clean, noise, plan, schedule=schedule, kind=kind, sampler="euler")
        there = plan.target.to(clean.device)
        alpha, sigma = schedule.alpha(there), schedule.sigma(there)
        power = (alpha[0].square() * m2 + sigma[0].square()).item()
        timesteps.append(float(plan.target[0]))
        m1.append(rolled_drift(result.rolled, result.noisy, alpha, sigma, m2).item())
        v.append(torch.log(result.rolled.square().mean() / power).item())
        forwards += result.sample_forwards
    return Probe(tuple(timesteps), tuple(m1), tuple(v), forwards)


def probe_plans(pairs: int, grid: Float[Tensor, "points"], reach: int, targets: int) -> Iterator[RolloutPlan]:
    """Short rollouts of all pairs to probed timesteps, clean end first.

    Args:
        pairs: how many items each plan has.
        grid: the sampler's timesteps, ascending, without 0.
        reach: grid steps of each rollout; cut to the grid's length - 1.
        targets: how many grid points are probed, evenly spaced from the first.
    """
    reach = min(reach, len(grid) - 1)
    for index in sorted({round(place) for place in torch.linspace(0, len(grid) - 1 - reach, targets).tolist()}):
        target, source = (torch.full((pairs,), float(grid[place])) for place in (index, index + reach))
        yield RolloutPlan(source=source, target=target, steps=torch.full((pairs,), reach), grid=grid)


def inference_grid(scheduler, steps: int) -> Float[Tensor, "points"]:
    """The timesteps that a diffusers scheduler samples at, ascending, shift and spacing included; it is left alone.

    A scheduler with an offset can begin one past the noise schedule's end: no training timestep lies there.
    """
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(steps)
    schedule = NoiseSchedule.from_diffusers(own)
    if schedule.form == "flow_matching":  # its timesteps may be cut to whole numbers
        times = own.sigmas.cpu().double() * own.config["num_train_timesteps"]
        return torch.unique(times[times > 0].float(), sorted=True)
    grid = torch.unique(own.timesteps.float().cpu(), sorted=True)
    return grid[grid <= schedule.last]
