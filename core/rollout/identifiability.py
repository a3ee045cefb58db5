"""Up to which timestep a state still tells which training picture it came from.

A deterministic rollout adds no information about the clean latent: an anchored target at its end teaches the mean of
all pictures that its source could have come from. For a finite set of pictures that mean is one of them as long as the
source's noise is small against the distances between them, `sigma / alpha <= D_min / 4`: beyond that level two pictures
at the smallest distance D_min are less than four standard deviations of the noise apart, and labels begin to average.
"""

import hashlib
import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.schedule import NoiseSchedule

BLOCK = 256
"""Latents that are compared with as many others at once: 2 × 33 MB in float64 at 4 × 64 × 64."""


def smallest_distance(groups: Iterable[Float[Tensor, "latents ..."]]) -> float | None:
    """D_min: the smallest Euclidean distance between two distinct latents of one group.

    Args:
        groups: (latents, ...) each: latents that share caption and shape.

    Returns:
        Above 0: identical latents count once. None where no group has two distinct latents.
    """
    found = [distance for group in groups if (distance := _within(group)) is not None]
    return min(found, default=None)


def level(distance: float) -> float:
    """The highest safe `sigma / alpha` for anchored targets: a quarter of D_min."""
    return distance / 4


def timestep_at(level: float, schedule: NoiseSchedule) -> float:
    """The timestep, 0..last, at which `sigma / alpha` has reached that level; fractional.

    Args:
        level: above 0.
        schedule: the noise schedule.
    """
    share = torch.tensor([level / (1 + level)], dtype=torch.float64)
    return min(max(float(schedule.place_at(share).timestep), 0.0), float(schedule.last))


def _within(latents: Tensor) -> float | None:
    rows = _distinct(latents.detach().cpu().float().flatten(1) + 0.0)  # -0.0 becomes 0.0
    if len(rows) < 2:
        return None
    nearest, pair = math.inf, (0, 0)
    for first in range(0, len(rows), BLOCK):
        for second in range(first, len(rows), BLOCK):
            square, where = _closest(rows[first : first + BLOCK], rows[second : second + BLOCK], same=first == second)
            if square < nearest:
                nearest, pair = square, (first + where[0], second + where[1])
    one, other = rows[pair[0]].double(), rows[pair[1]].double()
    return float(torch.linalg.vector_norm(one - other))


def _distinct(rows: Tensor) -> Tensor:
    """(rows, elements) without repetitions, told apart by their bytes."""
    first = {hashlib.blake2b(row.numpy().tobytes()).digest(): index for index, row in reversed(list(enumerate(rows)))}
    return rows[sorted(first.values())]


def _closest(one: Tensor, other: Tensor, *, same: bool) -> tuple[float, tuple[int, int]]:
    """The smallest squared distance between two blocks, and where; by one product in float64, whose rounding is far
    below any distance of two float32 latents that matters."""
    one, other = one.double(), other.double()
    square = one.square().sum(1)[:, None] + other.square().sum(1) - 2 * (one @ other.T)
    if same:
        square.fill_diagonal_(math.inf)
    index = int(square.argmin())
    return float(square.flatten()[index]), divmod(index, len(other))
