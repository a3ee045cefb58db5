"""What a loaded base model is, by its weights: a path can hold another model tomorrow."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from core.models.device import accelerator
from core.models.family import Family


def pictures_print(family: Family) -> str:
    """Fingerprint of what encodes pictures."""
    return fingerprint(family, ["vae"])


def prompts_print(family: Family) -> str:
    """Fingerprint of what encodes prompts."""
    names = [name for name in family.pipeline.components if name.startswith(("text", "token"))]
    return fingerprint(family, names, family.prompting)


def whole_print(family: Family) -> str:
    """Fingerprint of everything that draws a picture."""
    return fingerprint(family, list(family.pipeline.components), family.prompting)


def fingerprint(family: Family, parts: Sequence[str], more: Mapping[str, Any] = MappingProxyType({})) -> str:
    """SHA-256 over parts of a pipeline: weights bit by bit, configurations, vocabularies, kind of device.

    Args:
        family: a loaded base model without an adapter.
        parts: names of the pipeline's components.
        more: what else decides what they give; plain JSON values.
    """
    kind = accelerator().type  # their last bits differ; where parts lie now does not matter
    told = json.dumps(dict(more), sort_keys=True)
    found = hashlib.sha256(f"{type(family.pipeline).__name__} {kind} {told}".encode())
    for name in sorted(parts):
        part = family.pipeline.components[name]
        found.update(f"{name} {type(part).__name__} {_settings(part)}".encode())
        if isinstance(part, nn.Module):
            _add_weights(found, part)
    return found.hexdigest()


def _settings(part: object) -> str:
    """What else a part works with: a tokenizer's rules, or a configuration; paths and versions left out."""
    rules = getattr(part, "backend_tokenizer", None)
    if rules is not None:
        return f"{getattr(part, 'model_max_length', None)} {rules.to_str()}"
    config = getattr(part, "config", None)
    if config is None:
        return ""
    table = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    plain = {key: value for key, value in table.items() if not key.startswith("_") and "version" not in key}
    return json.dumps(plain, sort_keys=True, default=str)


def _add_weights(found: "hashlib._Hash", part: nn.Module) -> None:
    for name, tensor in part.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().data)
