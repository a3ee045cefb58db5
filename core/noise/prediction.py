"""What a network predicts, and the way from there to the clean latent, the noise and the velocity, and back.

Four kinds, for a state `x = alpha * clean + sigma * noise`:

| kind | the network predicts | source |
|---|---|---|
| epsilon | `noise` | Ho et al. 2020 |
| v_prediction | `alpha * noise - sigma * clean` | Salimans & Ho 2022 |
| sample | `clean` | |
| flow_matching | `noise - clean` | Lipman et al. 2023; Liu et al. 2023 |

The formulas hold for any alpha and sigma, so that every kind works on every noise schedule:
`n2 = alpha^2 + sigma^2` is 1 for variance preserving, `n1 = alpha + sigma` is 1 for flow matching.
Latents are (batch, ...), alpha and sigma (batch,).

Two questions have no answer: the clean latent of an epsilon prediction at alpha = 0, and the noise of a sample
prediction at sigma = 0. Both functions then give 0, the answer of least norm, and never inf or nan.
`core.rollout.engine.roll` refuses to start an epsilon rollout there.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Kind = Literal["epsilon", "v_prediction", "sample", "flow_matching"]
KINDS: tuple[str, ...] = get_args(Kind)

Latent = Float[Tensor, "batch ..."]
Weight = Float[Tensor, "..."]


def check_kind(kind: str) -> None:
    """Raises ValueError unless `kind` is one of KINDS."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")


def expand(weight: Shaped[Tensor, "..."], latent: Latent) -> Shaped[Tensor, "..."]:
    """Shapes a (batch,) weight so that it multiplies a (batch, ...) latent item by item."""
    return weight.reshape(weight.shape + (1,) * (latent.ndim - weight.ndim))


def add_noise(clean: Latent, noise: Latent, *, alpha: Weight, sigma: Weight) -> Latent:
    """The teacher-forced state `alpha * clean + sigma * noise`."""
    return expand(alpha, clean) * clean + expand(sigma, noise) * noise


def pair_target(clean: Latent, noise: Latent, *, alpha: Weight, sigma: Weight, kind: str) -> Latent:
    """What a network of this kind should predict for a teacher-forced pair: the third column of the module's table."""
    check_kind(kind)
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return clean
    if kind == "flow_matching":
        return noise - clean
    return expand(alpha, noise) * noise - expand(sigma, clean) * clean


def to_clean(prediction: Latent, noisy: Latent, *, alpha: Weight, sigma: Weight, kind: str) -> Latent:
    """The clean latent that a prediction implies.

    Args:
        prediction: (batch, ...), what the network said about `noisy`.
        noisy: (batch, ...), the state it was asked about.
        alpha: (batch,), of that state.
        sigma: (batch,), of that state.
        kind: one of KINDS.

    Returns:
        (batch, ...). epsilon: `(x - s p) / a`, 0 where alpha is 0; v_prediction: `(a x - s p) / n2`; sample: `p`;
        flow_matching: `(x - s p) / n1`.
    """
    check_kind(kind)
    if kind == "sample":
        return prediction
    a, s = expand(alpha, noisy), expand(sigma, noisy)
    if kind == "epsilon":
        return _divided(noisy - s * prediction, a)
    if kind == "v_prediction":
        return (a * noisy - s * prediction) / (a * a + s * s)
    return (noisy - s * prediction) / (a + s)


def to_noise(prediction: Latent, noisy: Latent, *, alpha: Weight, sigma: Weight, kind: str) -> Latent:
    """The noise that a prediction implies; arguments as for `to_clean`.

    epsilon: `p`; v_prediction: `(s x + a p) / n2`; sample: `(x - a p) / s`, 0 where sigma is 0;
    flow_matching: `(x + a p) / n1`.
    """
    check_kind(kind)
    if kind == "epsilon":
        return prediction
    a, s = expand(alpha, noisy), expand(sigma, noisy)
    if kind == "v_prediction":
        return (s * noisy + a * prediction) / (a * a + s * s)
    if kind == "sample":
        return _divided(noisy - a * prediction, s)
    return (noisy + a * prediction) / (a + s)


def to_velocity(prediction: Latent, noisy: Latent, *, alpha: Weight, sigma: Weight, kind: str) -> Latent:
    """`noise - clean` as a prediction implies them, itself for flow_matching; arguments as for `to_clean`."""
    if kind == "flow_matching":
        return prediction
    noise = to_noise(prediction, noisy, alpha=alpha, sigma=sigma, kind=kind)
    return noise - to_clean(prediction, noisy, alpha=alpha, sigma=sigma, kind=kind)


def _divided(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is exactly 0."""
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))
