"""How much memory a training takes, told from shapes: its step is run on tensors that have shapes and no values."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.runs.measurement import Memory
from core.training.build import Parts
from core.training.optimizers import state_bytes


def forecast_memory(parts: Parts) -> Memory:
    """What the parts of a training take where it is trained; nothing is computed, and the parts stay as they are.

    It works for every family: the family's own forward is run, with the items of a batch.
    """
    trained = [parameter for group in parts.optimizer.param_groups for parameter in group["params"]]
    own = {id(parameter) for parameter in trained}
    frozen = [parameter for parameter in parts.family.network.parameters() if id(parameter) not in own]
    return Memory(
        network=_bytes(frozen), adapter=_bytes(trained), gradients=_bytes(trained),
        optimizer=state_bytes(parts.config.training.optimizer, trained), activations=_activations(parts, trained),
        autoencoder=_bytes(parts.family.pipeline.vae.parameters()), picture=_picture(parts),
    )  # fmt: skip


def _activations(parts: Parts, trained: list[Tensor]) -> int:
    """Peak of forward and backward of a batch of the largest size, beside gradients that are kept."""
    sources = max(parts.stream.buckets, key=lambda sources: sources[0].pictures.latents[0].numel())
    family, source = parts.family, sources[0].pictures
    items = parts.config.training.train_batch_size * len(sources)
    shape, condition = (items, *source.latents[0].shape), source.conditions[:1]
    ledger = Ledger()
    with FakeTensorMode(allow_non_fake_inputs=True), ledger:
        prediction = family.predict(
            parts.network, torch.empty(shape), torch.zeros(items), torch.empty(items, *condition.shape[1:])
        )  # fmt: skip
        gradients = torch.autograd.grad(prediction.square().mean(), trained)
    return ledger.peak - _bytes(gradients)


def _picture(parts: Parts) -> int:
    """Peak of the decoding of one picture, the largest need of a sample beside the parts themselves."""
    ledger = Ledger()
    shape = (1, *parts.probe.training.shape[1:])
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), ledger:
        parts.family.pipeline.vae.decoder(torch.empty(shape))  # decode would bring the weights
    return ledger.peak


class Ledger(TorchDispatchMode):
    """Adds up the storages that live at once. ``peak`` is the most bytes that they had together."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **({} if kwargs is None else kwargs))
        if all(each.alias_info is None for each in func._schema.returns):  # else it shows what was there before
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.held -= size


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
