"""The LoRA on the denoising network, and on text encoders that learn beside it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
    network.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, init_lora_weights="gaussian")
    )
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    return parameters


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
    encoder.add_adapter(
        LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=list(CLIP_TARGETS), init_lora_weights="gaussian",
            layers_to_transform=list(range(layers)), layers_pattern="layers",
        )
    )  # fmt: skip
    encoder.eval()  # what it says shall not depend on whether it is trained on
    parameters = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    return parameters


def cast_frozen(network: nn.Module, dtype: torch.dtype) -> None:
    """Halves a frozen network's weights; what is trained stays in float32, which the small steps of training need."""
    for parameter in network.parameters():
        if not parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    network.register_forward_pre_hook(_cast_prompts, with_kwargs=True)


def _cast_prompts(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Encoded prompts in the network's precision: pipelines give float32, which a norm on the CPU does not take."""
    name = "encoder_hidden_states"
    return args, {**kwargs, name: kwargs[name].to(network.dtype)} if name in kwargs else kwargs


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
