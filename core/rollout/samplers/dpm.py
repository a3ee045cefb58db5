"""DPM-Solver++ multistep (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling"): one call a step.

With `lambda = log(a/s)` and `h = lambda_t - lambda_s` the flow is
`x_t = (s_t/s_s) x_s + s_t * integral of e^lambda D(lambda)`; D is replaced by a polynomial through the last clean
estimates. The order rises from 1 to the chosen one over the first steps of each rollout. A step to s_t = 0 has
infinite h, where no polynomial says anything, and is of first order.
"""

import torch

from core.noise.schedule import Place
from core.rollout.samplers.base import Memory, Model, Past, State, first_order, times


class DPMSolver:
    """DPM-Solver++ of order 1 to 3 (2: the midpoint variant); remembers order - 1 estimates."""

    def __init__(self, order: int) -> None:
        """Takes the order, 1..3; 1 is DDIM."""
        self.order = order

    def step(self, model: Model, state: State, here: Place, there: Place, memory: Memory) -> tuple[State, Memory]:
        """One step; see `Sampler.step`."""
        memory = (*memory, Past(here, state, model.clean(state, here)))[-self.order :]
        x_t = first_order(state, memory[-1].clean, here, there)
        if len(memory) == 2:
            x_t = x_t + second_order_term(there, memory)
        elif len(memory) == 3:
            x_t = x_t + third_order_terms(there, memory)
        return x_t, memory


def second_order_term(there: Place, memory: Memory) -> State:
    """`-a_t (e^-h - 1) D1 / 2`, with `D1 = (h/h_0) (D_0 - D_1)`."""
    lambdas = [past.place.half_log_snr for past in memory]
    h, h_0 = there.half_log_snr - lambdas[-1], lambdas[-1] - lambdas[-2]
    weight = torch.where(there.sigma > 0, -0.5 * there.alpha * torch.expm1(-h) * h / h_0, 0.0)
    return times(weight, memory[-1].clean - memory[-2].clean)


def third_order_terms(there: Place, memory: Memory) -> State:
    """`a_t ((e^-h - 1)/h + 1) D1 - a_t ((e^-h - 1 + h)/h^2 - 1/2) D2`.

    D1 and D2 are h times the first, and h^2/2 times the second derivative of the polynomial at s.
    """
    lambdas = [past.place.half_log_snr for past in memory]
    h, h_0, h_1 = there.half_log_snr - lambdas[-1], lambdas[-1] - lambdas[-2], lambdas[-2] - lambdas[-3]
    r_0, r_1 = h_0 / h, h_1 / h
    newer = times(1 / r_0, memory[-1].clean - memory[-2].clean)
    older = times(1 / r_1, memory[-2].clean - memory[-3].clean)
    bend = newer - older
    d_1, d_2 = newer + times(r_0 / (r_0 + r_1), bend), times(1 / (r_0 + r_1), bend)
    keep = (there.sigma > 0).to(h.dtype) * there.alpha
    linear, square = torch.expm1(-h) / h + 1, (torch.expm1(-h) + h) / h**2 - 0.5
    return times(keep * linear, d_1) - times(keep * square, d_2)
