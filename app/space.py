"""How much a training will write to the disk, from its config and the base model's list of weights. Loads no model."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

from core.config.base_model import FLOW_FAMILIES
from core.config.paths import model_path
from core.config.run import RunConfig
from core.models.lora_targets import CLIP_ENCODERS, CLIP_TARGETS, TARGETS
from core.regular import open_regular

FLOAT = 4
"""Bytes; adapters and optimizer state are float32."""
COPIES = 3
"""A checkpoint holds the adapter and two numbers of the optimizer for each of its own."""
RECORD = 700
"""Bytes of one step's record."""
PNG_SHARE = 0.6
"""Of the bytes of its pixels; photographs compress little."""
HEADER_LIMIT = 100_000_000


def run_bytes(config: RunConfig) -> float | None:
    """What one training writes: final adapter, checkpoints that stay, samples and records; None for a model that is not
    on this machine.
    """
    adapter = adapter_bytes(config)
    if adapter is None:
        return None
    training = config.training
    every = training.checkpointing_steps
    kept = training.max_train_steps // every if every else 1  # 0: only the last, at the end or at a stop
    if training.checkpoints_total_limit is not None:
        kept = min(kept, training.checkpoints_total_limit)
    written = adapter * (1 + COPIES * kept) + sample_bytes(config)
    return written + training.max_train_steps * RECORD


def sample_bytes(config: RunConfig) -> float:
    """The pictures of all rounds of samples."""
    validation, steps = config.validation, config.training.max_train_steps
    rounds = 2 if validation.validation_steps == 0 else 1 + math.ceil(steps / validation.validation_steps)
    pictures = rounds * len(validation.validation_prompts) * validation.num_validation_images
    return pictures * 3 * config.data.resolution**2 * PNG_SHARE


def adapter_bytes(config: RunConfig) -> float | None:
    """The LoRA: for each weight, out × in (× kernel), rank rows of in and out columns of rank."""
    family, lora = config.model.family, config.lora
    part = "transformer" if family in FLOW_FAMILIES else "unet"
    shapes = _shapes(config, part, TARGETS[family][lora.lora_targets])
    if not shapes:
        return None
    for encoder in CLIP_ENCODERS[family] if lora.train_text_encoder else ():
        shapes += _shapes(config, encoder, CLIP_TARGETS)
    return FLOAT * config.lora.rank * sum(shape[0] + math.prod(shape[1:]) for shape in shapes)


def _shapes(config: RunConfig, part: str, targets: Sequence[str]) -> list[list[int]]:
    """Of the weights of a part that take a LoRA."""
    folder = Path(model_path(config.model.described_by)) / part
    files = [path for path in sorted(folder.glob("*.safetensors")) if _variant_of(path) == config.model.variant]
    return [shape for path in files for shape in _weights(path, targets)]


def _variant_of(path: Path) -> str | None:
    """``fp16`` of ``model.fp16.safetensors`` and ``model.fp16-00001-of-00002.safetensors``."""
    _, _, mark = path.stem.partition(".")
    return mark.partition("-")[0] if mark else None


def _weights(path: Path, targets: Sequence[str]) -> list[list[int]]:
    """Shapes of the weights that take a LoRA, from the file's header."""
    endings = tuple(f".{ending}.weight" for ending in targets)
    try:
        with open_regular(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= HEADER_LIMIT else {}
    except (OSError, ValueError, RecursionError, struct.error):
        return []
    entries = header.items() if isinstance(header, dict) else ()
    found = [entry.get("shape") for name, entry in entries if name.endswith(endings) and isinstance(entry, dict)]
    return [shape for shape in found if _is_shape(shape)]


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    """Whether it is that of a linear layer or of a convolution."""
    return isinstance(shape, list) and len(shape) in {2, 4} and all(isinstance(side, int) for side in shape)
