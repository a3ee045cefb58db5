"""The contract of the callable that a rollout asks for predictions, and the mode in which it must be asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn


@runtime_checkable
class Denoiser(Protocol):
    """Predicts for some items of a batch, each at its own timestep and with its own conditioning.

    It is called without gradient. It must be in evaluation mode (no dropout, LoRA's included): see `evaluation_mode`.
    """

    def __call__(
        self, noisy: Float[Tensor, "n ..."], timestep: Float[Tensor, " n"], items: Int[Tensor, " n"]
    ) -> Float[Tensor, "n ..."]:
        """Predicts.

        Args:
            noisy: (n, ...), states in float32 (float64 if the rollout was given float64).
            timestep: (n,), 0 = clean; whole numbers for an integer stride and most samplers, fractional in general.
            items: (n,), which items of the batch these are; in no particular order.

        Returns:
            (n, ...), the prediction, in any floating precision.
        """
        ...


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[nn.Module]:
    """Puts a module into evaluation mode, and each of its submodules back into exactly the mode it had before.

    `module.train()` afterwards would not do: it also switches on what was off, a frozen part's dropout for example.
    """
    switched = [part for part in module.modules() if part.training]
    for part in switched:  # what eval() does, but only where there is something to do: it runs at every training step
        part.training = False
    try:
        yield module
    finally:
        for part in switched:
            part.training = True
