"""The classical Runge-Kutta method: four calls a step, fourth order.

It solves the flow in straight coordinates. With `y = x / (a + s)` and the noise share `w = s / (a + s)`, a path of
any noise schedule becomes the straight line `y = (1 - w) clean + w noise` of rectified flow (Liu et al. 2023), and
the probability flow `dy/dw = noise - clean`. This field is finite at pure noise, and constant for a model that
knows the clean latent, so that such a model is carried to exactly its state; in the timestep or the angle it would
not be.

The midpoint is taken in w, hence generally at a fractional timestep. At the clean end (s_t = 0) the slope of a sample
prediction is undetermined, and the last step takes the midpoint's, which is second order.
"""

import torch

from core.noise.prediction import expand
from core.noise.schedule import Place
from core.rollout.samplers.base import Memory, Model, State, times


class RungeKutta4:
    """Fourth order, no memory."""

    def step(self, model: Model, state: State, here: Place, there: Place, memory: Memory) -> tuple[State, Memory]:
        """One step; see `Sampler.step`."""
        middle = model.schedule.place_at((here.noise_share + there.noise_share) / 2)
        width = there.noise_share - here.noise_share
        start = times(1 / (here.alpha + here.sigma), state)

        def slope(place: Place, y: State) -> State:
            return model.velocity(times(place.alpha + place.sigma, y), place)

        k1 = model.velocity(state, here)
        k2 = slope(middle, start + times(width / 2, k1))
        k3 = slope(middle, start + times(width / 2, k2))
        k4 = slope(there, start + times(width, k3))
        ends_clean = expand((there.sigma == 0).to(state.device), state)
        mean = torch.where(ends_clean, k3, (k1 + 2 * k2 + 2 * k3 + k4) / 6)
        return times(there.alpha + there.sigma, start + times(width, mean)), ()
