"""How training timesteps are drawn, by what the network predicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Timesteps:
    """A distribution over the timesteps 0..last.

    Attributes:
        draw: (count, last, generator) to (count,) timesteps.
        density: of last, a function that gives each timestep's density up to a factor.
    """

    draw: Callable[[int, int, torch.Generator], Tensor]
    density: Callable[[int], Callable[[Numbers], Numbers]]


def _uniform(count: int, last: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, last + 1, (count,), generator=generator)


def _logit_normal(count: int, last: int, generator: torch.Generator) -> Tensor:
    return torch.sigmoid(torch.randn(count, generator=generator)) * last


def _logit_normal_density(last: int) -> Callable[[Numbers], Numbers]:
    def density(timestep: Numbers) -> Numbers:
        sigma = np.clip(timestep / last, 1e-12, 1 - 1e-12)
        return np.exp(-((np.log(sigma) - np.log1p(-sigma)) ** 2) / 2) / (sigma * (1 - sigma))

    return density


UNIFORM = Timesteps(_uniform, lambda last: np.ones_like)
LOGIT_NORMAL = Timesteps(_logit_normal, _logit_normal_density)
"""Esser et al. 2024, section 3.1, with location 0 and scale 1."""

TIMESTEPS: Mapping[str, Timesteps] = {
    "epsilon": UNIFORM,
    "v_prediction": UNIFORM,
    "sample": UNIFORM,
    "flow_matching": LOGIT_NORMAL,
}
