"""What the network is told, renewed at every step where text encoders learn beside it.

A step sees conditions that are cut off from their encoders: its rollouts, its predictions and, in mode visited, the
backward of each depth go on as if nothing was trained but the network, and the gradients of the conditions add up. At
its end they are sent through the encoders, once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor

from core.models.family import Family
from core.training.adapter import Encoders
from core.training.batches import Batch
from core.training.sharding import meet as average
from core.training.step import StepOptions


class Conditions:
    """Renews conditions; without encoders that learn they stay as they were cached.

    Attributes:
        encoders: that are trained, each with its adapter, by their names in the pipeline.
    """

    def __init__(self, family: Family, encoders: Encoders, empty: Tensor, accelerator: Accelerator):
        self.encoders = encoders
        self._family, self._empty, self._accelerator = family, empty, accelerator

    @contextmanager
    def told(self, batch: Batch, options: StepOptions) -> Iterator[tuple[Batch, StepOptions]]:
        """Batch and options with what the encoders say now; at the end their parameters have their gradients.

        Args:
            batch: on the device.
            options: of the step.
        """
        if not self.encoders:
            yield batch, options
            return
        with torch.enable_grad():
            renewed = self._family.renew(batch.condition, batch.prompts).float()
        leaf = renewed.detach().requires_grad_()
        yield replace(batch, condition=leaf), self._unprompted(options)
        assert leaf.grad is not None
        renewed.backward(leaf.grad)  # the loss was scaled before, and the gradient is with it

    @torch.no_grad()
    def now(self, condition: Tensor, prompts: Sequence[str | None]) -> Tensor:
        """Conditions as the encoders give them now, without gradient."""
        return self._family.renew(condition, prompts).float() if self.encoders else condition

    def meet(self) -> None:
        """Averages the encoders' gradients over the processes, as the network's wrapper does with its own."""
        if self.encoders and self._accelerator.num_processes > 1:
            average(parameter for part in self.encoders.values() for parameter in part.parameters())

    def _unprompted(self, options: StepOptions) -> StepOptions:
        """A guided rollout's second forward has no prompt as it is encoded now."""
        if options.guidance_scale == 1:
            return options
        empty = self.now(self._empty[None].to(self._accelerator.device), [None])[0]
        return replace(options, unprompted=partial(self._family.unprompted, empty=empty))
