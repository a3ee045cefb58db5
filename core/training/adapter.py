"""The LoRA on the denoising network, and on text encoders that learn beside it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from core.models.lora_targets import CLIP_TARGETS
from core.training.streams import key

ADAPTER = "default"
Encoders = Mapping[str, nn.Module]
"""Text encoders with an adapter, by their names in the pipeline."""
NONE: Encoders = MappingProxyType({})


def add_adapter(
    network: nn.Module, *, targets: list[str], rank: int, alpha: float, dropout: float, seed: int
) -> list[nn.Parameter]:
    """Adds a LoRA whose first values depend on the seed alone; returns its parameters, in float32.

    The B matrices start at zero, so that the adapted network begins as the base.
    """
    torch.manual_seed(key(seed, "adapter"))
    with _seen_as_float32(network):
        network.add_adapter(
            LoraConfig(
                r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, init_lora_weights="gaussian"
            )
        )
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def add_encoder_adapter(
    encoder: nn.Module, *, layers: int, rank: int, alpha: float, seed: int, place: int
) -> list[nn.Parameter]:
    """Adds a LoRA to the attention of a CLIP text encoder; returns its parameters, in float32.

    Args:
        encoder: frozen.
        layers: takes one in so many of its layers, from the first; a later one would never get a gradient.
        rank: of the matrices.
        alpha: its output is scaled by alpha / rank.
        seed: of the training.
        place: of the encoder in the pipeline, from 0: each has first values of its own.
    """
    torch.manual_seed(key(seed, "adapter", place + 1))
    with _seen_as_float32(encoder):
        encoder.add_adapter(
            LoraConfig(
                r=rank, lora_alpha=alpha, target_modules=list(CLIP_TARGETS), init_lora_weights="gaussian",
                layers_to_transform=list(range(layers)), layers_pattern="layers",
            )
        )  # fmt: skip
    encoder.eval()  # what it says shall not depend on whether it is trained on
    return [parameter for parameter in encoder.parameters() if parameter.requires_grad]


@contextmanager
def _seen_as_float32(network: nn.Module) -> Iterator[None]:
    """A half-precision network whose weights look like float32: a new adapter takes their format, and would be rounded.

    Meanwhile they are one number, seen in each weight's shape; they come back as they were.
    """
    kept = {weights: weights.data for weights in network.parameters()}
    try:
        for weights in kept:
            weights.data = torch.zeros((), device=weights.device).expand(weights.shape)
        yield
    finally:
        for weights, data in kept.items():
            weights.data = data


def adapter_tensors(network: nn.Module, encoders: Encoders = NONE) -> dict[str, torch.Tensor]:
    """The adapters' tensors under peft's own names, on the CPU; those of text encoders behind the encoder's name."""
    found = get_peft_model_state_dict(network)
    for part, encoder in encoders.items():
        found |= {f"{part}.{name}": tensor for name, tensor in get_peft_model_state_dict(encoder).items()}
    return {name: tensor.detach().contiguous().cpu() for name, tensor in found.items()}


def load_adapter_state(network: nn.Module, path: Path, encoders: Encoders = NONE) -> None:
    """Puts saved tensors into the adapters that ``add_adapter`` and ``add_encoder_adapter`` made.

    Raises:
        ValueError: the file does not fit the adapter; names the keys.
    """
    found, own = load_file(path), adapter_tensors(network, encoders)
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in (found, own)]
    wrong = sorted(name for name in found.keys() | own.keys() if shapes[0].get(name) != shapes[1].get(name))
    if wrong:
        raise ValueError(f"{path.name} does not fit the adapter: {len(wrong)} keys, such as {wrong[0]:.200}")
    for part, encoder in encoders.items():
        names = [name for name in found if name.startswith(f"{part}.")]
        theirs = {name.removeprefix(f"{part}."): found.pop(name) for name in names}
        set_peft_model_state_dict(encoder, theirs, adapter_name=ADAPTER)
    set_peft_model_state_dict(network, found, adapter_name=ADAPTER)
