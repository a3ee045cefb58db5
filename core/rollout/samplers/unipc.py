"""UniPC (Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework"), data prediction, B_2(h) = e^h - 1:
one call a step.

From the place s with clean estimate D_0, `h = lambda_t - lambda_s` and estimates D_i at relative distances `r_i`
(`lambda_i = lambda_s + r_i h`):

    x_t = (s_t/s_s) x_s - a_t (e^-h - 1) D_0 - a_t (e^-h - 1) * sum_i rho_i (D_i - D_0) / r_i
    sum_i rho_i r_i^(j-1) = b_j,   j = 1, 2, ...

The predictor takes the D_i from the past. The corrector redoes the same step when the estimate at t has arrived for
the next one: it is one more D_i, at r = 1. It therefore costs no call, and the last state of a rollout is not
corrected. A single unknown rho is 1/2, as the paper has it. The order rises from 1 to the chosen one over the first
steps of each rollout. A step to s_t = 0 has infinite h, where no polynomial says anything, and is of first order.
"""

import torch
from torch import Tensor

from core.noise.schedule import Place
from core.rollout.samplers.base import Memory, Model, Past, State, first_order, times


class UniPC:
    """UniPC of order 1 to 3; remembers the last `order` estimates."""

    def __init__(self, order: int) -> None:
        """Takes the order p of the predictor, 1..3; the corrector then reaches p + 1."""
        self.order = order

    def step(self, model: Model, state: State, here: Place, there: Place, memory: Memory) -> tuple[State, Memory]:
        """One step: estimate at the predicted state, correct that state, predict the next one; see `Sampler.step`."""
        clean = model.clean(state, here)
        if memory:
            state = advance(memory, here, arrived=clean)
        memory = (*memory, Past(here, state, clean))[-self.order :]
        return advance(memory, there), memory


def advance(memory: Memory, there: Place, arrived: State | None = None) -> State:
    """The step from the newest place in memory: predicted, or corrected if the estimate at `there` has arrived."""
    start = memory[-1]
    lambda_s = start.place.half_log_snr
    h = there.half_log_snr - lambda_s
    nodes = [(past.place.half_log_snr - lambda_s) / h for past in memory[-2::-1]]
    estimates = [past.clean for past in memory[-2::-1]]
    if arrived is not None:
        nodes, estimates = [*nodes, torch.ones_like(h)], [*estimates, arrived]
    x_t = first_order(start.state, start.clean, start.place, there)
    if not nodes:
        return x_t
    scale = torch.where(there.sigma > 0, -there.alpha * torch.expm1(-h), 0.0)
    for rho, r, estimate in zip(matching_weights(nodes, h), nodes, estimates, strict=True):
        x_t = x_t + times(scale * rho / r, estimate - start.clean)
    return x_t


def matching_weights(nodes: list[Tensor], h: Tensor) -> list[Tensor]:
    """The rho of the module's second equation, each (n,), with `b_j = j! (-h) phi_(j+1)(-h) / (e^-h - 1)`."""
    if len(nodes) == 1:
        return [torch.full_like(h, 0.5)]
    rows, moments = [], []
    scaled_phi, factorial = torch.expm1(-h), 1.0
    for j in range(1, len(nodes) + 1):
        factorial *= j
        # z phi_(j+1)(z) = phi_j(z) - 1/j!, with z = -h
        scaled_phi = scaled_phi / -h - 1 / factorial
        rows.append(torch.stack([r ** (j - 1) for r in nodes], dim=-1))
        moments.append(scaled_phi * factorial / torch.expm1(-h))
    # solve_ex: the checks of solve make the host wait for the device, and the nodes differ by construction
    solved, _ = torch.linalg.solve_ex(torch.stack(rows, dim=-2), torch.stack(moments, dim=-1))
    return list(solved.unbind(-1))
