"""The LoRA on the denoising network."""

from pathlib import Path

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn

from core.training.streams import key

ADAPTER = "default"


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


def save_adapter_state(network: nn.Module, path: Path) -> None:
    """The adapter's tensors under peft's own names."""
    state = {name: tensor.detach().contiguous().cpu() for name, tensor in get_peft_model_state_dict(network).items()}
    save_file(state, path)


def load_adapter_state(network: nn.Module, path: Path) -> None:
    """Puts saved tensors into the adapter that ``add_adapter`` made.

    Raises:
        ValueError: the file does not fit the adapter; names the keys.
    """
    outcome = set_peft_model_state_dict(network, load_file(path), adapter_name=ADAPTER)
    missing = [name for name in outcome.missing_keys if "lora_" in name]
    if missing or outcome.unexpected_keys:
        raise ValueError(f"{path} does not fit the adapter: missing {missing}, unexpected {outcome.unexpected_keys}")
