"""ReflexFlow (arXiv 2512.04904): two terms that replace a rolled item's squared error, for flow matching.

- Anti-drift rectification: the predicted velocity v should point along the way from x0 to where the rollout arrived,
  `|v/|v| - (x̂ - x0)/|x̂ - x0||^2`, between 0 (the same direction) and 4 (the opposite one).
- Frequency compensation: elements in which the rolled state changed the prediction weigh more. With delta the
  prediction at the true state minus that at the rolled one, `w = clamp(1 + alpha (|delta|/mean|delta| - 1), 0, 4)`,
  divided by its mean. Dividing by the mean and not by the sum keeps w of order 1 at every size of the latent.

An item's loss is `beta1 * rectification + beta2 * mean(w * error)`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

HIGHEST_WEIGHT = 4.0


@dataclass(frozen=True)
class ReflexFlow:
    """Its three numbers.

    Attributes:
        alpha: how strongly the compensation weights follow the change of the prediction.
        beta1: weight of the rectification.
        beta2: weight of the compensated error.
    """

    alpha: float
    beta1: float
    beta2: float


def direction_loss(
    velocity: Float[Tensor, "n ..."], rolled: Float[Tensor, "n ..."], clean: Float[Tensor, "n ..."],
    mask: Bool[Tensor, "n ..."] | Float[Tensor, "n ..."] | None = None,
) -> Float[Tensor, " n"]:  # fmt: skip
    """Anti-drift rectification of each item, 0..4.

    Args:
        velocity: (n, ...), predicted, noise-ward (`noise - clean`).
        rolled: (n, ...), where the rollouts arrived.
        clean: (n, ...), where the velocity should lead back to: x0, or its posterior mean.
        mask: (n, ...), how much each element counts in both lengths, 0..1; None: all alike.
    """
    way = _within(rolled.float() - clean.float(), mask)
    difference = _unit(_within(velocity.float(), mask)) - _unit(way)
    return difference.square().sum(1)


def compensation_weights(
    biased: Float[Tensor, "n ..."], unbiased: Float[Tensor, "n ..."], alpha: float,
    mask: Bool[Tensor, "n ..."] | Float[Tensor, "n ..."] | None = None,
) -> Float[Tensor, "n ..."]:  # fmt: skip
    """Frequency compensation weights, each item's of mean 1 (by the mask's weights); no gradient.

    Args:
        biased: (n, ...), prediction at the rolled states: the training forward's own.
        unbiased: (n, ...), prediction at the true states of the same timesteps.
        alpha: how strongly weights follow the difference, 0 or more; 0 gives 1 everywhere.
        mask: (n, ...), how much each element counts in the means, 0..1; None: all alike. Elements with 0 get 0.
    """
    change = (unbiased.detach().float() - biased.detach().float()).abs()
    inside = torch.ones_like(change) if mask is None else mask.expand_as(change).float()
    mean = _mean(change, inside)
    relative = torch.where(mean > 0, change / mean.clamp_min(torch.finfo(torch.float32).tiny), 1.0)
    weights = (1 + alpha * (relative - 1)).clamp(0, HIGHEST_WEIGHT) * (inside > 0)
    return weights / _mean(weights, inside).clamp_min(torch.finfo(torch.float32).tiny)


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """(n, 1, ...), by weight; 0 where nothing counts."""
    dims = tuple(range(1, values.ndim))
    weight = inside.sum(dims, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return (values * inside).sum(dims, keepdim=True) / weight


def _within(latent: Tensor, mask: Tensor | None) -> Tensor:
    """(n, elements), so that plain lengths and products are those by the mask's weights."""
    return (latent if mask is None else latent * mask.expand_as(latent).float().sqrt()).flatten(1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_min(1e-12)
