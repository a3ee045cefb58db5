"""What the model is trained on at the state where its own rollout left it.

With `x̂` the rolled state, `a` and `s` of the target timestep, and the pair (clean x0, noise e):

| kind | original | anchored |
|---|---|---|
| epsilon | `e` | `(x̂ - a x0) / s` |
| v_prediction | `a e - s x0` | `(a x̂ - x0) / s` |
| sample | `x0` | `x0` |
| flow_matching | `e - x0` | `(x̂ - x0) / s` |

*original* is the pair's own target, as if there had been no drift: it carries the drift on to the end. *anchored*
is the prediction that would lead from where the model is back to x0 (as DREAM, Zhou et al. 2024, rectifies its
target). It is the pair's formula with the noise `(x̂ - a x0) / s` that x̂ appears to hold. *posterior* is the anchored
formula with the posterior mean over the training pictures, `core.rollout.posterior`, in the place of x0.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.noise.prediction import check_kind, expand, pair_target

RULES = ("anchored", "posterior", "original")


def training_target(
    rule: str,
    rolled: Float[Tensor, "batch ..."],
    clean: Float[Tensor, "batch ..."],
    noise: Float[Tensor, "batch ..."],
    *,
    alpha: Float[Tensor, " batch"],
    sigma: Float[Tensor, " batch"],
    kind: str,
    steps: Int[Tensor, " batch"] | Bool[Tensor, " batch"] | None = None,
    posterior: Float[Tensor, "batch ..."] | None = None,
) -> Float[Tensor, "batch ..."]:
    """The target of every item of a batch.

    Args:
        rule: one of RULES.
        rolled: (batch, ...), the states the model arrived at, at the target timesteps.
        clean: (batch, ...), clean latents.
        noise: (batch, ...), the noise of the pairs.
        alpha: (batch,), at the target timesteps.
        sigma: (batch,), at the target timesteps. Where it is 0 the anchored noise is undetermined, and the pair's
            is taken.
        kind: what the network predicts.
        steps: (batch,), the plan's steps, or which items were rolled; the others get exactly the pair's own target,
            bit for bit. None: all were rolled.
        posterior: (batch, ...), `E[x0 | x̂]` over the training pictures, needed for, and only used with, the rule
            posterior.

    Raises:
        ValueError: if rule or kind is unknown, or the posterior mean is missing.
    """
    check_kind(kind)
    if rule not in RULES:
        raise ValueError(f"target must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == "posterior" and posterior is None:
        raise ValueError("posterior must be given with target posterior, got None")
    own = pair_target(clean, noise, alpha=alpha, sigma=sigma, kind=kind)
    if rule == "original" or (kind == "sample" and rule == "anchored"):
        return own
    aim = clean if rule == "anchored" or posterior is None else posterior
    held = expand(sigma > 0, own)
    if steps is not None:
        held = held & expand(steps.to(own.device) > 0, own)
    return torch.where(held, _anchored(rolled, aim, alpha, sigma, kind), own)


def _anchored(rolled: Tensor, clean: Tensor, alpha: Tensor, sigma: Tensor, kind: str) -> Tensor:
    """The right column; a^2 + s^2 and a + s stand for the 1 before x0, so that it holds for every noise schedule."""
    if kind == "sample":
        return clean
    a, s = expand(alpha, rolled), expand(torch.where(sigma > 0, sigma, 1.0), rolled)
    if kind == "epsilon":
        return (rolled - a * clean) / s
    if kind == "v_prediction":
        return (a * rolled - (a * a + s * s) * clean) / s
    return (rolled - (a + s) * clean) / s
