"""Energy distance of two sets of latents, with a permutation test (M8).

Székely & Rizzo 2013, "Energy statistics: a class of statistics based on distances". For sets X and Y,

    E² = 2 E|X - Y| - E|X - X'| - E|Y - Y'|

on distances per element (rms). The expectations are means over all pairs, each latent with itself included (the
V-statistic): E² is then never negative and has a root, and equal sets have distance 0. Sets of n and m latents from one
distribution lie some 1/n + 1/m of a mean distance apart; that floor is the same for every arm that has as many samples.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.chain import distances

PERMUTATIONS = 999
SEED = 20_130_801
"""Of the private generator that deals the latents out."""


@dataclass(frozen=True)
class EnergyDistance:
    """What was found.

    Attributes:
        distance: E, the root of E², in roots of latent units; NaN for latents that are not finite.
        p: share of the deals, the true one included, with a distance as large as the true one or larger: 1/1000 is
            the least. Small: the two sets are not from one distribution. NaN like the distance.
    """

    distance: float
    p: float


def energy_distance(
    samples: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"], permutations: int = PERMUTATIONS
) -> EnergyDistance:
    """E, and its permutation p `(count + 1) / (permutations + 1)` (Phipson & Smyth 2010: never 0).

    The distances are computed once; each deal is then two small products of matrices.

    Args:
        samples: one set, not empty.
        clean: the other, not empty.
        permutations: random deals of all latents into sets of these sizes, from a private generator.
    """
    count, total = len(samples), len(samples) + len(clean)
    everything = torch.cat([samples.float(), clean.to(samples.device).float()])
    between = distances(everything, everything).cpu().double()
    chance = torch.rand(permutations, total, generator=torch.Generator().manual_seed(SEED))
    deals = chance.argsort(1) < count  # a random order: its first places go to the one set
    true = torch.arange(total) < count
    squared = _squared(between, torch.cat([true[None], deals]))
    if not bool(torch.isfinite(squared[0])):
        return EnergyDistance(float("nan"), float("nan"))
    allowance = 1e-9 * between.mean()  # deals that are alike differ by rounding
    as_far = int((squared[1:] >= squared[0] - allowance).sum())
    return EnergyDistance(squared[0].clamp(min=0).sqrt().item(), (as_far + 1) / (permutations + 1))


def _squared(between: Tensor, first: Tensor) -> Tensor:
    """(deals,), E² of each deal: rows of ``first`` say which latents are in the one set."""
    one = first.double() / first.sum(1, keepdim=True)
    other = (~first).double() / (~first).sum(1, keepdim=True)
    difference = one - other
    return -((difference @ between) * difference).sum(1)
