"""How training timesteps are drawn, by what the network predicts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.rollout.expected import logit_normal_density

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


UNIFORM = Timesteps(_uniform, lambda last: np.ones_like)
LOGIT_NORMAL = Timesteps(_logit_normal, lambda last: lambda timestep: logit_normal_density(timestep / last))
"""Esser et al. 2024, section 3.1, with location 0 and scale 1."""

TIMESTEPS: Mapping[str, Timesteps] = {
    "epsilon": UNIFORM,
    "v_prediction": UNIFORM,
    "sample": UNIFORM,
    "flow_matching": LOGIT_NORMAL,
}
