"""A trained adapter as the file that diffusers reads."""

import json
from pathlib import Path
from typing import Any

from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from core.models.lora_path import DIFFUSERS_FILE


def save_lora(pipeline: type[Any], part: str, network: nn.Module, folder: Path, metadata: dict[str, str]) -> Path:
    """Writes diffusers keys and the adapter's own configuration through the pipeline's ``save_lora_weights``.

    Args:
        pipeline: class of the pipeline that is to read it.
        part: the network's name in it: ``unet`` or ``transformer``.
        network: with the adapter.
        folder: made when missing.
        metadata: is added to what diffusers writes.

    Returns:
        Path of the file.

    Raises:
        ValueError: a key of the metadata is diffusers' own.
    """
    configuration = network.peft_config["default"].to_dict()
    pipeline.save_lora_weights(
        folder,
        safe_serialization=True,
        **{
            f"{part}_lora_layers": get_peft_model_state_dict(network),
            f"{part}_lora_adapter_metadata": {key: _plain(value) for key, value in configuration.items()},
        },
    )
    path = folder / DIFFUSERS_FILE
    _add_metadata(path, metadata)
    return path


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, set) else value


def _add_metadata(path: Path, metadata: dict[str, str]) -> None:
    with safe_open(path, framework="pt") as file:
        existing = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    clash = sorted(set(existing) & set(metadata))
    if clash:
        raise ValueError(f"adapter metadata already has {json.dumps(clash)}")
    aside = path.with_suffix(".new")
    save_file(tensors, aside, metadata={**existing, **metadata})
    aside.replace(path)
