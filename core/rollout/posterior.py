"""The posterior mean over the training pictures: what a rolled state could come from.

For a finite set of clean latents x_i with frequencies f_i, a state x at weights a and s has the posterior

    w_i = f_i exp(-|x - a x_i|^2 / (2 s^2)) / sum,     E[x0 | x] = sum_i w_i x_i

which is the exact optimum of the denoising objective on that set (Karras et al. 2022, appendix B.3; used as a training
target by Xu et al. 2023, "Stable Target Field"). Taken at the state where a rollout arrived it stays that optimum
however long the rollout was, where the item's own x0 does not. It pulls towards the training pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SMALLEST_VARIANCE = 1e-12
"""Stands for sigma = 0, where all the weight is on the nearest picture."""


@dataclass(frozen=True)
class Posterior:
    """What was found for each of n states.

    Attributes:
        clean: (n, ...), E[x0 | x].
        entropy: (n,), of the weights, in nats: 0 = one picture has all of it.
        nearest: (n,), the nearest picture's share of the weight, 0..1.
    """

    clean: Float[Tensor, "n ..."]
    entropy: Float[Tensor, " n"]
    nearest: Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Latents that share a condition, seen from their mean: differences keep their digits in float32."""

    latents: Float[Tensor, "count elements"]
    centre: Float[Tensor, " elements"]
    offsets: Float[Tensor, "count elements"]
    lengths: Float[Tensor, " count"]
    log_share: Float[Tensor, " count"]


class PosteriorMean:
    """The posterior over groups of cached latents, one group a condition. No network is called."""

    def __init__(
        self, latents: Float[Tensor, "latents ..."], groups: Sequence[tuple[Tensor, Tensor]], device: torch.device
    ) -> None:
        """Gathers the candidates of each group.

        Args:
            latents: (latents, ...), every cached latent.
            groups: for each group the indices (count,) of its latents and how often each is drawn (count,), up to a
                factor.
            device: where states will be.
        """
        self.shape = latents.shape[1:]
        flat = latents.float().flatten(1).to(device)
        self._groups = [_candidates(flat[index.to(device)], share.float().to(device)) for index, share in groups]

    def __call__(
        self, noisy: Float[Tensor, "n ..."], *, alpha: Float[Tensor, " n"], sigma: Float[Tensor, " n"],
        group: Int[Tensor, " n"],
    ) -> Posterior:  # fmt: skip
        """The posterior of each state, in float32.

        Args:
            noisy: (n, ...), states.
            alpha: (n,), at their timesteps.
            sigma: (n,), at their timesteps.
            group: (n,), which candidates each has; on the CPU.
        """
        states = noisy.float().flatten(1)
        clean = torch.empty_like(states)
        entropy, nearest = (torch.empty(len(states), device=states.device) for _ in range(2))
        for number in sorted(set(group.tolist())):
            mine = torch.nonzero(group == number).flatten().to(states.device, non_blocking=True)
            found = _posterior(self._groups[number], states[mine], alpha[mine].float(), sigma[mine].float())
            clean[mine], entropy[mine], nearest[mine] = found
        return Posterior(clean.reshape(len(states), *self.shape), entropy, nearest)


def _candidates(latents: Tensor, share: Tensor) -> _Candidates:
    centre = latents.mean(0)
    offsets = latents - centre
    return _Candidates(latents, centre, offsets, offsets.square().sum(1), (share / share.sum()).log())


def _posterior(among: _Candidates, states: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, variance = alpha[:, None], sigma.square().clamp_min(SMALLEST_VARIANCE)[:, None]
    # |x - a x_i|^2 up to what is common to all i
    distance = a * a * among.lengths - 2 * a * ((states - a * among.centre) @ among.offsets.T)
    weights = torch.softmax(among.log_share - distance / (2 * variance), dim=1)
    entropy = torch.special.entr(weights).sum(1)
    return weights @ among.latents, entropy, weights.gather(1, distance.argmin(1, keepdim=True))[:, 0]
