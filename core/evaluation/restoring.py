"""M6, the restoring coefficient: how much of a mistake in the state ends up in the clean estimate.

Along the model's own drift it is read against the base model's: does it repair its mistakes? Along isotropic noise,
which leads off the manifold of pictures, the ideal is near 0: the estimate ignores it.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def restoring(
    moved: Float[Tensor, "n ..."], true: Float[Tensor, "n ..."], displacement: Float[Tensor, "n ..."]
) -> float:  # fmt: skip
    """`<D(x + dl) - D(x), dl> / ||dl||²`, sums over all elements of all pairs: c for a linear `D(x) = c x`.

    Args:
        moved: D(x + dl).
        true: D(x).
        displacement: dl.

    Returns:
        A pure number; NaN where nothing was displaced.
    """
    dl = displacement.float()
    return (((moved.float() - true.float()) * dl).mean() / dl.square().mean()).item()


def isotropic_like(displacement: Float[Tensor, "n ..."], seed: int) -> Float[Tensor, "n ..."]:
    """White noise with each item's own norm, from a private generator of that seed.

    Drawn on the CPU, so that it is the same on every device.
    """
    drawn = torch.randn(displacement.shape, generator=torch.Generator().manual_seed(seed)).to(displacement)
    wanted, got = (latents.flatten(1).norm(dim=1) for latents in (displacement, drawn))
    return drawn * (wanted / got).view(-1, *(1,) * (drawn.ndim - 1))
