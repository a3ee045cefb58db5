"""The loss of each item."""

import torch
from jaxtyping import Float
from torch import Tensor

MIN_SNR_KINDS = ("epsilon", "v_prediction", "sample")


def squared_error(prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch"]:
    """Mean over the elements of each item, in float32."""
    return (prediction.float() - target.float()).pow(2).flatten(1).mean(1)


def min_snr_weight(
    alpha: Float[Tensor, "batch"], sigma: Float[Tensor, "batch"], kind: str, gamma: float | None
) -> Float[Tensor, "batch"]:
    """Min-SNR-γ (Hang et al. 2023, section 3.4), from the timestep that is trained.

    With snr = alpha²/sigma²: min(snr, γ)/snr for epsilon, min(snr, γ)/(snr + 1) for v, min(snr, γ) for sample; written
    so that alpha = 0 and sigma = 0 are finite. ``gamma = None`` weights every timestep by 1.

    Raises:
        ValueError: the kind has no such weight (flow matching).
    """
    if gamma is None:
        return torch.ones_like(alpha)
    signal, noise = alpha.square(), sigma.square()
    capped = torch.minimum(signal, gamma * noise)  # min(snr, γ)·sigma²
    if kind == "epsilon":
        return torch.where(signal > gamma * noise, gamma * noise / signal.clamp(min=1e-12), torch.ones_like(alpha))
    if kind == "v_prediction":
        return capped / (signal + noise)
    if kind == "sample":
        return torch.minimum(signal / noise.clamp(min=1e-12), torch.full_like(alpha, gamma))
    raise ValueError(f"min-SNR weights exist for {', '.join(MIN_SNR_KINDS)}, got {kind}")
