"""Euler: one call a step, first order.

On the straight path of flow matching this is Euler's rule for the velocity (Liu et al. 2023); on a
variance-preserving schedule it is DDIM (Song et al. 2021), which is Euler's rule for `d(x/alpha) = noise
d(sigma/alpha)`. Both are the same formula in the clean estimate.
"""

from core.noise.schedule import Place
from core.rollout.samplers.base import Memory, Model, State, first_order


class Euler:
    """First order, no memory."""

    def step(self, model: Model, state: State, here: Place, there: Place, memory: Memory) -> tuple[State, Memory]:
        """One step; see `Sampler.step`."""
        return first_order(state, model.clean(state, here), here, there), ()
