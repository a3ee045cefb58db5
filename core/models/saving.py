"""A trained adapter as the file that diffusers reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft.utils import get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from core.models.lora_path import DIFFUSERS_FILE

NETWORKS = ("unet", "transformer")
"""Parts that are denoising networks; the others are text encoders."""
TEXT_MODEL = "text_model."


def save_lora(pipeline: type[Any], parts: Mapping[str, nn.Module], folder: Path, metadata: dict[str, str]) -> Path:
    """Writes diffusers keys and the adapters' own configurations through the pipeline's ``save_lora_weights``.

    Args:
        pipeline: class of the pipeline that is to read it.
        parts: with an adapter, by their names in it: ``unet`` or ``transformer``, and text encoders.
        folder: made when missing.
        metadata: is added to what diffusers writes.

    Returns:
        Path of the file.

    Raises:
        ValueError: a key of the metadata is diffusers' own.
    """
    given: dict[str, Any] = {}
    for name, part in parts.items():
        configuration = part.peft_config["default"].to_dict()
        tensors = get_peft_model_state_dict(part)
        given[f"{name}_lora_layers"] = tensors if name in NETWORKS else {_named(key): tensors[key] for key in tensors}
        given[f"{name}_lora_adapter_metadata"] = {key: _plain(value) for key, value in configuration.items()}
    pipeline.save_lora_weights(folder, safe_serialization=True, **given)
    path = folder / DIFFUSERS_FILE
    _add_metadata(path, metadata)
    return path


def _named(key: str) -> str:
    """A text encoder's key as all files have it: the class of newer transformers has no ``text_model`` in between."""
    return key if key.startswith(TEXT_MODEL) else TEXT_MODEL + key


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
