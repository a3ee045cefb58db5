"""M3, the log variance V of states on the way: whether they shrink or swell beside what the noise schedule says.

No pairing is needed. The sampler's own discretisation error is in it: Euler along the exact field of a unit Gaussian
ends at V = -0.09 after 28 steps and -0.32 after 8. Read it minus another arm's with equal seeds and sampler. P states
of d independent normal elements tell V to within a standard error of sqrt(2 / (P d)); the difference of two arms with
equal noises is far better known than that.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def state_log_variance(states: Float[Tensor, "n c h w"], alpha: float, sigma: float, m2: float) -> float:
    """`V = ln(mean x̂² / (alpha² m2 + sigma²))` in nats; below 0 shrunk.

    Args:
        states: x̂, all at one timestep.
        alpha: there.
        sigma: there.
        m2: mean square of the clean latents.
    """
    return torch.log(states.float().square().mean() / (alpha**2 * m2 + sigma**2)).item()


def state_channel_log_variance(
    states: Float[Tensor, "n c h w"], clean: Float[Tensor, "m c h w"], alpha: float, sigma: float
) -> tuple[float, ...]:
    """:func:`state_log_variance` of each channel against its own mean square in the clean latents, (c,)."""
    own, m2 = (latents.float().square().mean((0, 2, 3)) for latents in (states, clean))
    return tuple(torch.log(own / (alpha**2 * m2 + sigma**2)).tolist())
