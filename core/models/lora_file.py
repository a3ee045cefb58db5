"""A LoRA file: safetensors with the keys of diffusers, kohya's scripts or PEFT. Its header is read, not its tensors.

A LoRA changes a module's weight W to `W + scale B A` with A ("down", rank × in) and B ("up", out × rank), and
`scale = alpha / rank` (Hu et al. 2021, https://arxiv.org/abs/2106.09685), or `alpha / sqrt(rank)` where PEFT's
configuration says rslora (Kalajdzievski 2023, https://arxiv.org/abs/2312.03732).
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.errors import DataError, reason_of, unreadable
from core.models.lora_path import PEFT_FILE, lora_path, lora_problem
from core.regular import read_regular

PEFT_CONFIG = "adapter_config.json"
KOHYA = {"lora_unet_": "unet", "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2"}
PARTS = ("unet", "text_encoder", "text_encoder_2", "transformer")
PEFT_PREFIX = "base_model.model."
_ENDINGS = {
    ".lora_A.weight": ".lora_B.weight",
    ".lora_down.weight": ".lora_up.weight",
    ".lora.down.weight": ".lora.up.weight",
    ".lora_linear_layer.down.weight": ".lora_linear_layer.up.weight",
    "_lora.down.weight": "_lora.up.weight",
}
NUMBERS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""What the matrices can be stored as, in safetensors' words."""
LARGEST_ALPHA = 1e9
"""Far above any; a number without bounds is no float."""
_OPTIONS_LIMIT = 1 << 20


@dataclass(frozen=True)
class LoraModule:
    """One pair of matrices.

    Attributes:
        part: of the pipeline: ``unet``, ``text_encoder`` and so on.
        name: of the module within the part; kohya's have ``_`` for ``.``.
        down: key of A.
        up: key of B.
        down_shape: of A, (rank, in) or (rank, in, height, width).
        up_shape: of B, (out, rank) or (out, rank, 1, 1).
        dtype: of A, as safetensors names it.
        alpha: what the change is scaled by over the rank.
        scale: of `B A`.
    """

    part: str
    name: str
    down: str
    up: str
    down_shape: tuple[int, ...]
    up_shape: tuple[int, ...]
    dtype: str
    alpha: float
    scale: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.down_shape[0]


@dataclass(frozen=True)
class LoraFile:
    """What the header of a file says.

    Attributes:
        path: of the file.
        size: in bytes.
        format: ``diffusers``, ``kohya``, ``peft``, or two of them joined by ``+``.
        modules: in the file's order.
        unknown: keys that are no part of a plain LoRA.
        metadata: as the file has it.
    """

    path: Path
    size: int
    format: str
    modules: tuple[LoraModule, ...]
    unknown: tuple[str, ...]
    metadata: Mapping[str, str]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file of which the header has been read and checked against its size.

    Raises:
        DataError: header and file do not go together, or it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise lora_problem(path, f"be a whole safetensors file, got an error: {error}; fetch it again") from error
    except OSError as error:
        raise lora_problem(path, f"be a readable file, got an error: {reason_of(error)}") from error


def read_lora(path: Path) -> LoraFile:
    """Reads the header, and of the tensors kohya's alphas alone.

    Raises:
        DataError: it is no safetensors file, or holds no LoRA.
    """
    path = lora_path(path)
    with opened(path) as file:
        keys, metadata = list(file.keys()), file.metadata() or {}
        options, known = _options(path, metadata), set(keys)
        found = [(down, *stem) for down in keys if (stem := _stem(down)) is not None and stem[1] in known]
        modules = tuple(_module(path, file, known, options, *each) for each in found)
    if not modules:
        rest = f"only others, such as {keys[0]!r:.80}" if keys else "none at all"
        raise lora_problem(path, f"hold a LoRA's keys (lora_A and lora_B, or lora_down and lora_up), got {rest}")
    formats = sorted({_place(stem)[0] for _, stem, _ in found})
    used = {key for down, stem, up in found for key in (down, up, f"{stem}.alpha")}
    unknown = tuple(key for key in keys if key not in used)
    return LoraFile(path, path.stat().st_size, "+".join(formats), modules, unknown, metadata)


def _module(
    path: Path, file: Any, known: set[str], options: Mapping[str, Mapping[str, Any]], down: str, stem: str, up: str
) -> LoraModule:
    """One pair of keys of an ``opened`` file."""
    _, part, name = _place(stem)
    alpha_key = f"{stem}.alpha"
    given = _alpha(path, file.get_tensor(alpha_key)) if alpha_key in known else None
    down_shape, up_shape = (_shape(path, file, key) for key in (down, up))
    if up_shape[1] != down_shape[0] or math.prod(up_shape[2:]) != 1:
        shapes = f"{list(down_shape)} and {list(up_shape)}"
        raise lora_problem(path, f"have pairs of matrices of one rank, got shapes {shapes} at {down}")
    alpha, scale = _scaling(path, down, down_shape[0], given, options.get(part, options.get("", {})), name)
    return LoraModule(part, name, down, up, down_shape, up_shape, file.get_slice(down).get_dtype(), alpha, scale)


def _shape(path: Path, file: Any, key: str) -> tuple[int, ...]:
    """The shape of a matrix that can be one of a pair."""
    shape, dtype = tuple(file.get_slice(key).get_shape()), file.get_slice(key).get_dtype()
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise lora_problem(path, f"have matrices of a rank of at least 1, got shape {list(shape)} at {key}")
    if dtype not in NUMBERS:
        raise lora_problem(path, f"hold numbers of type {', '.join(NUMBERS)}, got {dtype} at {key}")
    return shape


def pair(file: Any, module: LoraModule) -> tuple[Tensor, Tensor]:
    """A and B of a module of an ``opened`` file, in float32."""
    return file.get_tensor(module.down).float(), file.get_tensor(module.up).float()


def _stem(key: str) -> tuple[str, str] | None:
    """For the key of an A: what comes before its ending, and the key of its B."""
    for down, up in _ENDINGS.items():
        if key.endswith(down):
            stem = key.removesuffix(down)
            return stem, stem + up
    return None


def _place(stem: str) -> tuple[str, str, str]:
    """Format, part and module name of a key's stem."""
    for prefix, part in KOHYA.items():
        if stem.startswith(prefix):
            return "kohya", part, stem.removeprefix(prefix)
    part, _, name = stem.partition(".")
    if part in PARTS:  # the oldest diffusers keys have unet.….attn1.processor.to_out_lora
        older = re.sub(r"\.processor\.(to_[qkv])$", r".\1", name)
        return "diffusers", part, re.sub(r"\.processor\.to_out$", ".to_out.0", older)
    name = stem.removeprefix(PEFT_PREFIX)
    return "peft", "text_encoder" if name.startswith("text_model.") else "unet", name


def _alpha(path: Path, tensor: Tensor) -> float:
    if tensor.numel() != 1 or tensor.is_complex():
        raise lora_problem(path, f"have one number for each alpha, got {tensor.numel()} of type {tensor.dtype}")
    return tensor.double().item()


def _scaling(
    path: Path, key: str, rank: int, alpha: float | None, options: Mapping[str, Any], name: str
) -> tuple[float, float]:
    """Alpha and scale of a module: what stands beside it, else the configuration's, else alpha = rank."""
    if alpha is None:
        alpha = _pattern(options.get("alpha_pattern"), name, options.get("lora_alpha", rank))
    if not isinstance(alpha, (int, float)) or not abs(alpha) <= LARGEST_ALPHA:  # NaN is not
        raise lora_problem(path, f"have finite alphas, got {alpha!r:.80} for {key}")
    return float(alpha), alpha / (math.sqrt(rank) if options.get("use_rslora") is True else rank)


def _pattern(pattern: Any, name: str, default: Any) -> Any:
    """PEFT's ``alpha_pattern``: the value of the first entry that ends the module's name."""
    for ending, value in pattern.items() if isinstance(pattern, dict) else ():
        plain = ending.removeprefix("^")
        if name == plain or name.endswith(f".{plain}"):
            return value
    return default


def _options(path: Path, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """PEFT's configuration by part of the pipeline: the file's own, or under ``""`` that of the folder it lies in."""
    beside = path.with_name(PEFT_CONFIG)
    if path.name == PEFT_FILE and os.path.lexists(beside):
        return {"": _object(path, PEFT_CONFIG, _beside(beside))}
    if "lora_adapter_metadata" not in metadata:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for key, value in _object(path, "lora_adapter_metadata", metadata["lora_adapter_metadata"]).items():
        part, _, option = key.partition(".")
        found.setdefault(part, {})[option] = value
    return found


def _beside(path: Path) -> bytes:
    try:
        return read_regular(path, _OPTIONS_LIMIT)
    except OSError as error:
        raise DataError([unreadable(path.name, path, error)]) from error


def _object(path: Path, what: str, text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise lora_problem(path, f"come with JSON as its {what}, got an error: {error}") from error
    if not isinstance(value, dict):
        raise lora_problem(path, f"come with a JSON object as its {what}, got a {type(value).__name__}")
    return value
