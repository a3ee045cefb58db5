"""A LoRA file beside a base model: audited, held against its modules, loaded, and switched off for comparison."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from core.errors import DataError, Problem
from core.models.family import Family
from core.models.lora_audit import Audit, Update
from core.models.lora_file import LoraFile, LoraModule, opened, pair

LARGEST = 8
LISTED = 10
"""How many keys that do not fit are named."""
LONGEST_VALUE = 200
MOST_VALUES = 80
ENCODERS = ("text_encoder", "text_encoder_2")
"""Those of a pipeline's text encoders that take a LoRA."""
_TOLD = ("ss_", "modelspec.", "rollout_")


def audit(lora: LoraFile, largest: int = LARGEST) -> Audit:
    """Looks at every matrix, a module at a time.

    Args:
        lora: as it was read.
        largest: how many of the largest changes are named.

    Raises:
        DataError: the file cannot be read any more.
    """
    updates, zero, bad = [], [], []
    with opened(lora.path) as file:
        for module in lora.modules:
            down, up = pair(file, module)
            finite = [bool(matrix.isfinite().all()) for matrix in (down, up)]
            bad += [key for key, whole in zip((module.down, module.up), finite, strict=True) if not whole]
            norm = update_norm(down, up, module.scale) if all(finite) else math.nan
            updates.append(Update(_module(module), norm))
            if norm == 0:
                zero.append(_module(module))
    ordered = sorted(updates, key=lambda update: -math.inf if math.isnan(update.norm) else update.norm, reverse=True)
    return Audit(
        name=lora.path.name, format=lora.format, size=lora.size, modules=len(lora.modules),
        parts=_count(module.part for module in lora.modules), ranks=_count(module.rank for module in lora.modules),
        alphas=_count(f"{module.alpha:g}" for module in lora.modules),
        dtypes=_count(module.dtype for module in lora.modules), metadata=told(lora.metadata),
        largest=tuple(ordered[:largest]), norm=math.sqrt(sum(update.norm**2 for update in updates)),
        zero=tuple(zero), non_finite=tuple(bad), unknown=lora.unknown,
    )  # fmt: skip


def update_norm(down: Tensor, up: Tensor, scale: float) -> float:
    """`|scale| ‖B A‖` (Frobenius), by the smaller of two matrices: `B A` itself, out × in, or, rank × rank, by
    `‖B A‖² = trace((BᵀB)(A Aᵀ))`. So it takes no more memory than the file's own matrices, whatever their shapes.

    >>> import torch
    >>> update_norm(torch.eye(2), 3 * torch.eye(2), 0.5) == 1.5 * 2**0.5
    True
    """
    a, b = down.double().flatten(1), up.double().flatten(1)
    if len(b) * a.shape[1] < len(a) ** 2:
        return abs(scale) * (b @ a).norm().item()
    squared = ((b.T @ b) * (a @ a.T)).sum().item()
    return abs(scale) * math.sqrt(max(squared, 0.0))


def told(metadata: Mapping[str, str]) -> dict[str, str]:
    """What trainers write about a training, long values cut."""
    keys = sorted(key for key in metadata if key.startswith(_TOLD))
    cut = {key: metadata[key] for key in keys[:MOST_VALUES]}
    return {
        key: value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}… ({len(value)} characters)"
        for key, value in cut.items()
    }


def missing_parts(lora: LoraFile, family: Family) -> tuple[str, ...]:
    """Parts that the file changes and the base model does not have; their modules are left out."""
    return tuple(sorted({module.part for module in _addressed(lora, family).modules} - set(parts_of(family))))


def misfits(lora: LoraFile, family: Family) -> tuple[Problem, ...]:
    """Every key that does not fit the base model: of no module, of another shape, or no part of a plain LoRA."""
    lora, homes = _addressed(lora, family), _homes(family)
    found = [_problem(lora, key, "be a part of a plain LoRA", "a key that is none") for key in lora.unknown]
    absent = missing_parts(lora, family)
    if len(absent) == len({module.part for module in lora.modules}):
        rule = f"{lora.path.name} must change a part of the base model, got one for {', '.join(absent)} alone"
        return (Problem(lora.path.name, rule), *found)
    for module in lora.modules:
        if module.part not in absent:
            found += _module_problems(lora, module, homes.get((module.part, _plain(module.name))))
    return tuple(found)


def load_lora(lora: LoraFile, family: Family) -> None:
    """Puts the LoRA on the base model through its pipeline, with each module's scale worked into B.

    Raises:
        DataError: keys do not fit; the first ten are named, before anything is loaded.
    """
    problems = misfits(lora, family)
    if problems:
        more = len(problems) - LISTED
        rest = [Problem(lora.path.name, f"{more} more keys of {lora.path.name} do not fit the base model")]
        raise DataError([*problems[:LISTED], *(rest if more > 0 else [])])
    lora, homes, state = _addressed(lora, family), _homes(family), {}
    with opened(lora.path) as file:
        for module in lora.modules:
            home = homes.get((module.part, _plain(module.name)))
            if home is not None:
                name, layer = home
                down, up = pair(file, module)
                flat = isinstance(layer, nn.Linear)
                down, up = (_shaped(matrix, flat) for matrix in (down, up * module.scale))
                state |= {f"{module.part}.{name}.lora_A.weight": down, f"{module.part}.{name}.lora_B.weight": up}
    with quiet(), torch.no_grad():
        family.pipeline.load_lora_weights(state)
    for part in parts_of(family).values():
        part.eval()


def unload_lora(family: Family) -> None:
    """Takes the adapter off again."""
    family.pipeline.unload_lora_weights()


@contextmanager
def without_lora(family: Family) -> Iterator[None]:
    """The base model as it is without any adapter that lies on it."""
    layers = [
        layer for part in parts_of(family).values() for layer in part.modules() if isinstance(layer, BaseTunerLayer)
    ]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def _module_problems(lora: LoraFile, module: LoraModule, home: tuple[str, nn.Module] | None) -> list[Problem]:
    if home is None:
        return [_problem(lora, module.down, f"belong to a module of the base model's {module.part}", "one it lacks")]
    layer = home[1]
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, (nn.Linear, nn.Conv2d)) or weight is None:
        return [_problem(lora, module.down, "belong to a linear or convolution layer", type(layer).__name__)]
    out, into = weight.shape[0], tuple(weight.shape[1:])
    flat = math.prod(into) == into[0]
    wanted = {(module.rank, *into), *({(module.rank, into[0]), (module.rank, into[0], 1, 1)} if flat else ())}
    found = []
    if module.down_shape not in wanted:
        rule = f"have shape {_shape((module.rank, *into))}"
        found.append(_problem(lora, module.down, rule, _shape(module.down_shape)))
    if module.up_shape not in ((out, module.rank), (out, module.rank, 1, 1)):
        found.append(_problem(lora, module.up, f"have shape {_shape((out, module.rank))}", _shape(module.up_shape)))
    return found


def parts_of(family: Family) -> dict[str, nn.Module]:
    """The parts of the pipeline that can take a LoRA, under the names that files have for them."""
    encoders = {name: getattr(family.pipeline, name, None) for name in ENCODERS}
    return {family.part: family.network, **{name: part for name, part in encoders.items() if part is not None}}


def _addressed(lora: LoraFile, family: Family) -> LoraFile:
    """PEFT's own files name no part of a pipeline: what is no text encoder's is the denoising network's."""
    if lora.format != "peft" or family.part == "unet":
        return lora
    modules = (replace(each, part=family.part) if each.part == "unet" else each for each in lora.modules)
    return replace(lora, modules=tuple(modules))


def _homes(family: Family) -> dict[tuple[str, str], tuple[str, nn.Module]]:
    """By part and plain name: the module's own name, and the module without an adapter that lies on it."""
    found: dict[tuple[str, str], tuple[str, nn.Module]] = {}
    for part, root in parts_of(family).items():
        for name, module in root.named_modules():
            if name:
                base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
                found[part, _plain(name)] = (name, base)
    return found


def _plain(name: str) -> str:
    """A name by which files of any format and any version of the text encoder's class find their module."""
    return name.replace(".", "_").removeprefix("text_model_")


def _shaped(matrix: Tensor, flat: bool) -> Tensor:
    """As a linear layer has it, or as a convolution does."""
    if flat:
        return matrix.flatten(1).contiguous()
    return matrix if matrix.ndim == 4 else matrix[:, :, None, None].contiguous()


def _problem(lora: LoraFile, key: str, rule: str, got: str) -> Problem:
    return Problem(lora.path.name, f"{key} must {rule}, got {got}")


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _module(module: LoraModule) -> str:
    return f"{module.part}.{module.name}"


def _count(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without diffusers' warning about every part that a LoRA leaves alone."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before)
