"""What all families share of loading: a folder or a hub id becomes a pipeline, or one sentence says why not."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from core.errors import DataError, Problem, first_line
from core.models.fetching import folder_of
from core.models.precision import encoder_dtypes, halve, halve_network
from core.regular import MEGABYTE, read_regular
from core.shortage import is_out_of_memory, is_out_of_room

_FOREIGN = (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError)
"""What the libraries raise on files of a base model that make no sense."""
_OPTION = "pretrained_model_name_or_path"


def refused(rule: str, option: str = _OPTION) -> DataError:
    """The error of a base model that is none: ``pretrained_model_name_or_path must <rule>``."""
    return DataError([Problem(option, f"{option} must {rule}")])


def load_pipeline(
    kind: type[Any], path: str, revision: str | None, variant: str | None, *, network: str, parts: Sequence[str],
    weighted: Sequence[str], advice: str, encoders: Sequence[str] = (), precision: torch.dtype = torch.float32,
    strangers: Mapping[str, str] = MappingProxyType({}), **options: Any,
) -> Any:  # fmt: skip
    """Reads a local diffusers folder, or a hub id where the hub can be reached; the autoencoder always in float32.

    Args:
        kind: class of the pipeline.
        path: of the folder, or the hub id.
        revision: of a hub model.
        variant: of the weight files.
        network: the denoising network's name.
        parts: that a folder must have.
        weighted: those of them whose weights are counted.
        advice: what else to use, at the end of the sentences.
        encoders: names of the text encoders.
        precision: that its weights and theirs are kept in.
        strangers: what to say of folders of some other pipeline classes, by class.
        **options: for the pipeline's ``from_pretrained``.

    Raises:
        DataError: nothing at ``path`` loads as such a pipeline.
    """
    _check_local(path, revision)
    if not os.path.isdir(path):  # a hub model is read from the folder that it was fetched to, and from nowhere else
        path, revision = folder_of(path, revision, variant), None
    check_folder(path, kind.__name__, parts, strangers)
    dtypes = encoder_dtypes(model_index(path), encoders, precision)
    with reading(f"be a diffusers folder or a hub id in reach, got {path!r}", advice):
        pipeline = kind.from_pretrained(
            path, variant=variant, dtype={"default": torch.float32, network: precision, **dtypes},
            use_safetensors=True, local_files_only=True, **options,
        )  # fmt: skip
    if os.path.isdir(path):
        check_weights({name: getattr(pipeline, name, None) for name in weighted}, path)
    halve(pipeline, dtypes)
    halve_network(getattr(pipeline, network), precision)
    return pipeline


@contextmanager
def reading(rule: str, advice: str) -> Iterator[None]:
    """What the libraries raise on a base model that makes no sense becomes one sentence; their bars are off.

    Raises:
        DataError: ``pretrained_model_name_or_path must <rule> (<what they said>); <advice>``.
    """
    for logging in (diffusers_logging, transformers_logging):  # bars of milliseconds drown the log
        logging.disable_progress_bar()
    try:
        yield
    except (*_FOREIGN, SafetensorError, SingleFileComponentError) as error:
        if is_out_of_memory(error) or is_out_of_room(error):
            raise  # the model is not to blame
        first = first_line(error)
        raise refused(f"{rule} ({first}); {advice}") from error


def lists_part(path: str, name: str) -> bool:
    """Whether a pipeline has a part: a folder by its ``model_index.json``; of a hub model it is taken for granted."""
    if not os.path.isdir(path):
        return True
    return model_index(path).get(name, [None])[0] is not None


def check_autoencoder(pipeline: Any, path: str, channels: int) -> None:
    """Passes an autoencoder that goes with the network.

    Args:
        pipeline: that was loaded.
        path: it was loaded from.
        channels: of a latent that the network takes.

    Raises:
        DataError: its latents have another number of channels, or no scale.
    """
    config = pipeline.vae.config
    gives, scale, shift = config["latent_channels"], config["scaling_factor"], config.get("shift_factor")
    if channels != gives:
        raise refused(f"have a network that takes the vae's {gives} channels, got {channels} in {path!r}")
    if not isinstance(scale, int | float) or not 0 < scale < 1e6:
        raise refused(f"have a vae whose scaling_factor is a number above 0, got {scale!r} in {path!r}")
    if shift is not None and (not isinstance(shift, int | float) or not abs(shift) < 1e6):
        raise refused(f"have a vae whose shift_factor is a number, got {shift!r} in {path!r}")
    if config.get("latents_mean") is not None or config.get("latents_std") is not None:
        raise refused(f"have a vae without latents_mean and latents_std, got {path!r}, whose vae has them")


def _check_local(path: str, revision: str | None) -> None:
    folder = Path(path)
    looks_local = folder.is_absolute() or path.startswith(("./", "../", "~")) or path.count("/") > 1
    if looks_local and not os.path.exists(folder):
        raise refused(f"be a folder that exists, got {path!r}; check the path")
    if os.path.isfile(folder):
        raise refused(f"be a diffusers folder, got {path!r}, a file that is no .safetensors file")
    if os.path.isdir(folder) and revision is not None:
        rule = f"revision must be unset for a base model in a folder, which has only one, got {revision!r}"
        raise DataError([Problem("revision", rule)])


def check_folder(
    path: str, kind: str, parts: Sequence[str], strangers: Mapping[str, str] = MappingProxyType({}),
    option: str = _OPTION,
) -> None:  # fmt: skip
    """Passes a folder of that class of pipelines with those parts.

    Raises:
        DataError: it is none; the sentence is about ``option``.
    """
    folder, listed = Path(path), model_index(path, option)
    pipeline = listed.get("_class_name")
    if pipeline != kind:
        more = strangers.get(str(pipeline), "choose the family that it belongs to")
        raise refused(f"be a {kind}, got {path!r}, a {pipeline}; {more}", option)
    for name in parts:
        if name not in listed or not (folder / name).is_dir():
            raise refused(f"be a diffusers folder with a {name}, got {path!r}, which has none", option)


def model_index(path: str, option: str = _OPTION) -> dict[str, Any]:
    """The ``model_index.json`` of a folder."""
    index = Path(path) / "model_index.json"
    if not index.is_file():
        raise refused(f"be a diffusers folder with a model_index.json, got {path!r}, which has none", option)
    try:
        listed = json.loads(read_regular(index, MEGABYTE))
    except (OSError, ValueError, RecursionError) as error:
        raise refused(f"be a diffusers folder, got {path!r}, whose model_index.json cannot be read", option) from error
    if not isinstance(listed, dict):
        raise refused(f"be a diffusers folder, got {path!r}, whose model_index.json holds no object", option)
    return listed


def check_weights(parts: Mapping[str, Any], path: str, option: str = _OPTION) -> None:
    """Refuses a folder whose files lack weights: the libraries draw those at random, and only say so in the log.

    Args:
        parts: the networks that lie in it, by name, None for one that is left out; their weights are only counted.
        path: of the folder.
        option: that names it.

    Raises:
        DataError: there are fewer tensors than a part has.
    """
    for name, part in parts.items():
        if part is None:  # left out of the folder, which the family allows
            continue
        keys: set[str] = set()
        for file in Path(path, name).glob("*.safetensors"):
            with safe_open(file, framework="pt") as opened:
                keys.update(opened.keys())
        wanted = sum(1 for _ in part.parameters())
        if len(keys) < wanted:
            got = f"got {path!r}, whose {name} has {len(keys)} of {wanted} tensors; fetch it again"
            raise refused(f"be a diffusers folder with all of its weights, {got}", option)
