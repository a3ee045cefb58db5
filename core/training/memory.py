"""How much memory a training takes, told from shapes: its step is run on tensors that have shapes and no values."""

import weakref
from collections.abc import Iterable
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.runs.memory import Memory
from core.training.build import Parts
from core.training.optimizers import state_bytes


def forecast_memory(parts: Parts) -> Memory:
    """What the parts of a training take where it is trained; nothing is computed, and the parts stay as they are.

    It works for every family: the family's own forward is run, with the items of a batch.
    """
    trained = [parameter for group in parts.optimizer.param_groups for parameter in group["params"]]
    own = {id(parameter) for parameter in trained}
    network = parts.family.network
    frozen = [tensor for tensor in (*network.parameters(), *network.buffers()) if id(tensor) not in own]
    encoders = parts.conditions.encoders.values()
    activations, again = _activations(parts, trained)
    call, item = _calls(parts)
    return Memory(
        network=_bytes(frozen), adapter=_bytes(trained), gradients=_bytes(trained),
        optimizer=state_bytes(parts.config.training.optimizer, trained), activations=activations, again=again,
        call=call, item=item, guided=2 if parts.family.takes_guidance else 1, encoder=_largest_encoder(parts),
        autoencoder=_bytes(parts.family.pipeline.vae.parameters()), picture=_picture(parts),
        encoders=_bytes(p for part in encoders for p in part.parameters() if id(p) not in own),
    )  # fmt: skip


def free_bytes(device: torch.device) -> int:
    """What a device has free now; beside it on a GPU lies what its libraries have taken already."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _activations(parts: Parts, trained: list[Tensor]) -> tuple[int, int]:
    """Peaks of forward and backward of a batch of the largest size.

    Returns:
        Bytes beside gradients that the backward makes, and beside gradients that an earlier one has left, to which
        each new one is added as soon as it is there.
    """
    ledger = Ledger()
    hooks = [parameter.register_hook(ledger.settle) for parameter in trained]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), ledger:
            said = [_said(encoder, _items(parts)) for encoder in parts.conditions.encoders.values()]
            prediction = _predicted(parts, _items(parts))
            gradients = torch.autograd.grad(sum(said, prediction.square().mean()), trained)
    finally:
        for hook in hooks:
            hook.remove()
    return ledger.peak - _bytes(gradients), ledger.peak_unsettled


def _calls(parts: Parts) -> tuple[int, int]:
    """Peak of a call without gradient: bytes of any call, and of each item in it."""
    peaks = []
    for items in (1, 2):
        ledger = Ledger()
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), ledger:
            _predicted(parts, items)
        peaks.append(ledger.peak)
    item = peaks[1] - peaks[0]
    return max(peaks[0] - item, 0), item


def _items(parts: Parts) -> int:
    return parts.config.training.train_batch_size * len(parts.stream.buckets[0])


def _predicted(parts: Parts, items: int) -> Tensor:
    """A forward of so many items of the largest size, of shapes alone."""
    source = max(parts.stream.buckets, key=lambda sources: sources[0].pictures.latents[0].numel())[0].pictures
    device, condition = parts.accelerator.device, source.conditions[:1]
    return parts.family.predict(
        parts.network, torch.empty(items, *source.latents[0].shape, device=device), torch.zeros(items, device=device),
        torch.empty(items, *condition.shape[1:], device=device),
    )  # fmt: skip


def _largest_encoder(parts: Parts) -> int:
    """Of the text encoders that are not trained, which come one at a time."""
    family = parts.family
    others = (part for part in family.pipeline.components.values() if isinstance(part, nn.Module))
    here = (family.network, family.pipeline.vae, *parts.conditions.encoders.values())
    return max((_bytes(part.parameters()) for part in others if part not in here), default=0)


def _said(encoder: nn.Module, items: int) -> Tensor:
    """A number that depends on all that a text encoder says of so many prompts."""
    device, length = next(encoder.parameters()).device, encoder.config.max_position_embeddings  # type: ignore[union-attr]
    found = encoder(torch.zeros(items, length, dtype=torch.long, device=device), output_hidden_states=True)
    return found.last_hidden_state.square().mean() + found[0].square().mean()


def _picture(parts: Parts) -> int:
    """Peak of the decoding of one picture, beside the autoencoder itself."""
    decoder, device, ledger = parts.family.pipeline.vae.decoder, parts.accelerator.device, Ledger()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        there = {name: value.to(device) for name, value in decoder.state_dict(keep_vars=True).items()}
        latent = torch.empty(1, *parts.probe.training.shape[1:], device=device, dtype=parts.family.pipeline.vae.dtype)
        with ledger:
            functional_call(decoder, there, latent)  # decode would bring the weights
    return ledger.peak


class Ledger(TorchDispatchMode):
    """Adds up the storages that live at once.

    Attributes:
        held: bytes that they have now.
        peak: the most bytes that they had together.
        peak_unsettled: the same without those that were settled: ``settle`` strikes a tensor out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = self.peak_unsettled = self._settled = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **({} if kwargs is None else kwargs))
        if all(each.alias_info is None for each in func._schema.returns):  # else it shows what was there before
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._note(leaf.untyped_storage())
        return result

    def settle(self, tensor: Tensor) -> None:
        """From now on ``peak_unsettled`` leaves it out."""
        self._settled += _bytes([tensor])

    def _note(self, storage: Any) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.held += size
        self.peak = max(self.peak, self.held)
        self.peak_unsettled = max(self.peak_unsettled, self.held - self._settled)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.held -= size


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
