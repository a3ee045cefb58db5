"""Writes a run's LoRA in a format. The matrices stay as they are, number by number; only their names change."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import RunError
from core.export.formats import FORMATS
from core.export.metadata import HASH, metadata_of, tensor_hash
from core.export.source import Source
from core.models.lora_file import PEFT_PREFIX, LoraModule
from core.models.saving import NETWORKS, TEXT_MODEL
from core.report.facts import portable

ADAPTER_METADATA = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's configuration in a file."""


def write_format(source: Source, format: str, folder: Path, parts: Mapping[str, nn.Module]) -> tuple[Path, ...]:
    """Writes the weights and what belongs to them.

    Args:
        source: The run.
        format: One of ``FORMATS``.
        folder: An empty folder.
        parts: The parts of the pipeline that take a LoRA, under the names that files have for them.

    Returns:
        The weight files.

    Raises:
        RunError: The adapter does not say how it was made.
        OSError: The disk does not take them.
    """
    return _WRITERS[format](source, folder, load_file(source.lora.path), parts)


def _diffusers(
    source: Source, folder: Path, tensors: Mapping[str, Tensor], parts: Mapping[str, nn.Module]
) -> tuple[Path, ...]:
    more = {ADAPTER_METADATA: json.dumps(_options(source), indent=2, sort_keys=True)}
    return (_save(source, folder / FORMATS["diffusers"].file_of(source.name), tensors, "diffusers", "diffusers", more),)


def _kohya(
    source: Source, folder: Path, tensors: Mapping[str, Tensor], parts: Mapping[str, nn.Module]
) -> tuple[Path, ...]:
    found: dict[str, Tensor] = {}
    for module in source.lora.modules:
        pair = {key: tensors[key] for key in (module.down, module.up)}
        for key, tensor in convert_state_dict_to_kohya(pair).items():
            name = _one_encoder(key) if source.config.model.family == "stable_diffusion" else key
            found[name] = _alpha(module, pair[module.down].dtype) if key.endswith(".alpha") else tensor.contiguous()
    return (_save(source, folder / FORMATS["kohya"].file_of(source.name), found, "kohya", "diffusers", {}),)


def _peft(
    source: Source, folder: Path, tensors: Mapping[str, Tensor], parts: Mapping[str, nn.Module]
) -> tuple[Path, ...]:
    options, files = _options(source), []
    for part in sorted({module.part for module in source.lora.modules}):
        place = folder if part in NETWORKS else folder / part
        place.mkdir(exist_ok=True)
        start = f"{part}.{TEXT_MODEL}" if _is_flat(parts[part], part) else f"{part}."
        own = {
            f"{PEFT_PREFIX}{key.removeprefix(start)}": tensor
            for key, tensor in tensors.items()
            if key.startswith(f"{part}.")
        }
        _lora_config(source, options, part, parts[part]).save_pretrained(str(place))
        files.append(_save(source, place / FORMATS["peft"].file_of(source.name), own, "peft", "diffusers", {}))
    return tuple(files)


Writer = Callable[[Source, Path, Mapping[str, Tensor], Mapping[str, nn.Module]], tuple[Path, ...]]
_WRITERS: Mapping[str, Writer] = MappingProxyType({"diffusers": _diffusers, "kohya": _kohya, "peft": _peft})


def _save(
    source: Source, path: Path, tensors: Mapping[str, Tensor], format: str, implementation: str, more: dict[str, str]
) -> Path:
    """Writes the file twice: its hash is of its tensors as they lie in it, and stands before them."""
    facts = {"format": "pt", **more, **metadata_of(source, format, implementation)}
    save_file(dict(tensors), path, metadata=facts)
    save_file(dict(tensors), path, metadata={**facts, HASH: tensor_hash(path)})
    return path


def _alpha(module: LoraModule, dtype: torch.dtype) -> Tensor:
    """Kohya's tools scale by alpha / rank, whatever the LoRA was trained with; its own converter writes the rank."""
    return torch.tensor(module.scale * module.rank, dtype=dtype)


def _one_encoder(key: str) -> str:
    """Kohya's scripts number text encoders only where there are two."""
    return key.replace("lora_te1_", "lora_te_", 1)


def _is_flat(module: nn.Module, part: str) -> bool:
    """Whether it is a text encoder without ``text_model`` in its names; PEFT asks for the names of the very class."""
    return part not in NETWORKS and not hasattr(module, "text_model")


def _options(source: Source) -> dict[str, Any]:
    """PEFT's configuration of each part as the adapter's file holds it, without any path.

    Raises:
        RunError: It holds none.
    """
    said = source.lora.metadata.get(ADAPTER_METADATA)
    if said is None:
        rule = f"hold {ADAPTER_METADATA}, got none; resume the run to save it again"
        raise RunError(f"{source.lora.path.name} must {rule}")
    return json.loads(portable(said))


def _lora_config(source: Source, options: Mapping[str, Any], part: str, module: nn.Module) -> LoraConfig:
    """What ``adapter_config.json`` says, the class that it was made for included."""
    own = {key.removeprefix(f"{part}."): value for key, value in options.items() if key.startswith(f"{part}.")}
    kind = type(module)
    own |= {
        "base_model_name_or_path": source.hub_base,
        "revision": source.config.model.revision if source.hub_base is not None else None,
        "inference_mode": True,
        "auto_mapping": {"base_model_class": kind.__name__, "parent_library": kind.__module__},
    }
    return LoraConfig(**{key: value for key, value in own.items() if key in LoraConfig.__dataclass_fields__})
