"""A base model in one ``.safetensors`` file, in the layout of its original code.

diffusers renames the tensors. A diffusers folder lends what the file does not hold: configurations, scheduler and
tokenizers, and the text encoders and the autoencoder where the file has none.
"""

import os
from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from safetensors import safe_open
from torch import nn

from core.models.loading import check_folder, check_weights, load_pipeline, model_index, reading, refused
from core.models.precision import encoder_dtypes, halve, halve_network
from core.models.single_layouts import ENCODERS, IDENTITY, NETWORK, SAYS, VAE, Encoder

OPTION = "single_file_config"
ADVICE = "take another file or another single_file_config, or save the model as a diffusers folder"
_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}


def load_model(
    kind: type[Any], path: str, revision: str | None, variant: str | None, single_file_config: str | None, *,
    network: str, parts: Sequence[str], weighted: Sequence[str], advice: str, precision: torch.dtype,
    encoders: Sequence[str], strangers: Mapping[str, str] = MappingProxyType({}), **options: Any,
) -> Any:  # fmt: skip
    """Reads a diffusers folder or a hub id, or with a ``single_file_config`` a single file.

    Args as of :func:`core.models.loading.load_pipeline` and :func:`load_single_file`.

    Raises:
        DataError: nothing at ``path`` loads as such a pipeline.
    """
    if single_file_config is None:
        return load_pipeline(
            kind, path, revision, variant, network=network, parts=parts, weighted=weighted, advice=advice,
            encoders=encoders, precision=precision, strangers=strangers, **options,
        )  # fmt: skip
    pipeline = load_single_file(
        kind, path, single_file_config, network=network, parts=parts, strangers=strangers, **options
    )
    halve(pipeline, encoder_dtypes(model_index(single_file_config, OPTION), encoders, precision))
    halve_network(getattr(pipeline, network), precision)
    return pipeline


def load_single_file(
    kind: type[Any], path: str, folder: str, *, network: str, parts: Sequence[str],
    strangers: Mapping[str, str] = MappingProxyType({}), **options: Any,
) -> Any:  # fmt: skip
    """Reads a single file in float32; its plain weights where it has averaged ones (EMA) too.

    Args:
        kind: class of the pipeline.
        path: of the file.
        folder: in diffusers' layout, of a model of the same kind.
        network: the denoising network's name in the pipeline.
        parts: that the folder must have.
        strangers: what to say of folders of some other pipeline classes, by class.
        **options: for the pipeline's ``from_single_file``.

    Raises:
        DataError: the file is no such model, is torn or lacks weights, or the folder does not go with it.
    """
    if not os.path.isfile(path):
        raise refused(f"be a file that exists, got {path!r}; check the path")
    if not os.path.isdir(folder):
        raise refused(f"be a diffusers folder that exists, got {folder!r}; check the path", OPTION)
    check_folder(folder, kind.__name__, parts, strangers, option=OPTION)
    encoders = {name: each for name, each in ENCODERS[kind.__name__].items() if name in parts}
    rule = f"be a single file in its original layout that goes with {folder!r}, got {path!r}"
    with reading(rule, ADVICE):
        numbers = _numbers(path)
        _check_numbers(numbers, folder, network, encoders, path)
        if IDENTITY in numbers:
            _check_identity(path)
        lent = [name for name, each in encoders.items() if not _holds(numbers, each.root)]
        lent += [] if _holds(numbers, *VAE) else ["vae"]
        pipeline = kind.from_single_file(
            path, config=folder, local_files_only=True, dtype=torch.float32, feature_extractor=None,
            image_encoder=None, **{name: _lent(folder, name) for name in lent}, **options,
        )  # fmt: skip
    for name in (network, "vae", *encoders):
        _own(getattr(pipeline, name), f"{rule}, whose {name}")
    _check_said(numbers, pipeline.scheduler.config, folder, path)
    return pipeline


def _numbers(path: str) -> dict[str, int]:
    """How many numbers each tensor of the file has."""
    with safe_open(path, framework="pt") as file:
        return {name: prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _holds(names: Mapping[str, int], *roots: str) -> bool:
    return any(name.startswith(roots) for name in names)


def _check_numbers(
    numbers: Mapping[str, int], folder: str, network: str, encoders: Mapping[str, Encoder], path: str
) -> None:
    """Refuses what diffusers would pass over: weights that the folder's parts lack, text encoders it does not know.

    Numbers are counted, for files hold in one tensor what diffusers holds in three.
    """
    others = (*VAE, *(each.root for each in encoders.values()))
    named = _holds(numbers, NETWORK)
    found = {
        network: sum(
            n for key, n in numbers.items() if key.startswith(NETWORK) or not (named or key.startswith(others))
        ),
        "vae": sum(n for key, n in numbers.items() if key.startswith(VAE)),
    }
    for name, count in found.items():
        wanted = sum(tensor.numel() for tensor in _described(folder, name).state_dict().values())
        if name == "vae" and (count == 0 or count > wanted):  # lent; or it lies beside its training's loss
            continue
        if count != wanted:
            got = f"got {path!r}, whose {name} has {count} of {wanted} numbers"
            raise refused(f"have the weights that single_file_config describes, {got}; {ADVICE}")
    for name, each in encoders.items():
        if _holds(numbers, each.root) and not any(mark in numbers for mark in each.marks):
            got = f"got {path!r}, whose {name} has no {' nor '.join(each.marks)}"
            raise refused(f"have no text encoder or one that diffusers reads, {got}; {ADVICE}")


def _check_said(names: Mapping[str, int], scheduler: Mapping[str, Any], folder: str, path: str) -> None:
    """Refuses a folder whose scheduler is another than what a file says of itself; most say nothing."""
    for mark, (setting, value) in SAYS.items():
        if mark in names and scheduler.get(setting) != value:
            rule = f"be a folder whose scheduler has {setting} {value}, as the tensor {mark} in {path!r} says"
            raise refused(f"{rule}, got {scheduler.get(setting)} in {folder!r}", OPTION)


def _class(folder: str, name: str) -> Any:
    """Of a part, as the folder names it."""
    library, kind = model_index(folder, OPTION)[name]
    return getattr(_LIBRARIES[library], kind)


def _described(folder: str, name: str) -> nn.Module:
    """A part of diffusers as the folder describes it, without weights."""
    kind = _class(folder, name)
    with init_empty_weights():
        return kind.from_config(kind.load_config(folder, subfolder=name))


def _lent(folder: str, name: str) -> nn.Module:
    """The folder's own part."""
    part = _class(folder, name).from_pretrained(
        folder, subfolder=name, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    check_weights({name: part}, folder, OPTION)
    return part


def _own(part: nn.Module, rule: str) -> None:
    """Takes a part's weights off the mapped file: its tensors lie at odd places, which the last bits depend on.

    Raises:
        DataError: some weights were in no file.
    """
    if isinstance(part, transformers.PreTrainedModel):
        part.tie_weights()
    empty = [name for name, tensor in part.state_dict().items() if tensor.is_meta]
    if empty:
        raise refused(f"{rule} lacks {len(empty)} tensors, such as {empty[0]}; {ADVICE}")
    for tensor in (*part.parameters(), *part.buffers()):
        tensor.data = tensor.data.clone()


def _check_identity(path: str) -> None:
    """Refuses a projection that diffusers would not read."""
    with safe_open(path, framework="pt") as file:
        projection = file.get_tensor(IDENTITY).float()
    if not torch.equal(projection, torch.eye(len(projection))):
        got = f"got {path!r}, whose {IDENTITY} is another, which diffusers does not read"
        raise refused(f"have the identity as the projection of its first text encoder, {got}; {ADVICE}")
