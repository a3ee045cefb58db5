"""Base models as a configuration names them, finished runs, and the pictures that both are measured on."""

from pathlib import Path
from typing import Any

import torch

from core.config.paths import model_path, resolve_path
from core.config.run import RunConfig
from core.data.digest import file_digest
from core.data.dreambooth import scan_folder
from core.data.latents import LatentSet, encode
from core.errors import RunError
from core.models import FAMILIES
from core.models.device import accelerator
from core.models.family import Family
from core.models.lora_path import DIFFUSERS_FILE
from core.runs.adapter_check import adapter_problem
from core.runs.folder import RunFolder
from core.runs.manifest import check_measured
from core.samples.aside import set_aside

PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""By ``mixed_precision``."""


def load_base(config: RunConfig) -> Family:
    """The base model of a configuration, network and text encoders in the precision of its training.

    What was trained with fp16 is loaded in float32 where there is no GPU: a CPU has no float16 to speak of.

    Raises:
        DataError: it cannot be loaded; the sentence says what to do.
    """
    model, precision = config.model, PRECISIONS[config.training.mixed_precision]
    path = model_path(model.pretrained_model_name_or_path)
    if precision == torch.float16 and not torch.cuda.is_available():
        precision = torch.float32
    told: dict[str, Any] = {"precision": precision}
    if model.embedded_guidance is not None:
        told["embedded_guidance"] = model.embedded_guidance
    if model.single_file_config is not None:
        told["single_file_config"] = str(resolve_path(model.single_file_config))
    return FAMILIES[model.family].resolve().load(path, revision=model.revision, variant=model.variant, **told)


def load_to_draw(config: RunConfig, folder: Path) -> Family:
    """The base model of a configuration where pictures are drawn, taking no more room there than its training does.

    Its network stays on the device; the other parts come for a call.

    Args:
        config: of a training.
        folder: on whose disk the weights of the others wait.

    Raises:
        DataError: it cannot be loaded; the sentence says what to do.
        RunError: there is too little room on the disk, or it does not take the weights.
    """
    family, device = load_base(config), accelerator()
    set_aside(family, device, folder)
    family.network.to(device)
    return family


def load_finished(folder: RunFolder, aside: Path | None = None) -> Family:
    """The base model of a run where pictures are drawn, with the run's final adapter on it.

    Args:
        folder: of the run.
        aside: folder on whose disk parts of the base model wait; None is the run's.

    Raises:
        RunError: the run has no final adapter, or one that cannot be read, or the disk does not take these parts.
        DataError: its base model cannot be loaded.
    """
    check_finished(folder)
    family = load_to_draw(folder.config(), folder.path if aside is None else aside)
    family.pipeline.load_lora_weights(folder.adapter_dir, use_safetensors=True)
    for part in (family.network, *family.adapted_encoders().values()):
        part.eval()  # the file brings the training's dropout with it, switched on
    return family


def check_finished(folder: RunFolder) -> None:
    """Passes a run that has a final adapter.

    Raises:
        RunError: it has none, or one that is not whole.
    """
    if not (folder.adapter_dir / DIFFUSERS_FILE).is_file():
        raise RunError(f"{folder.name} must be a finished run with an adapter; train or resume it first")
    problem = adapter_problem(folder)
    if problem is not None:
        raise RunError(problem)


def check_pictures(folder: RunFolder) -> None:
    """Passes a run whose instance pictures are still those that it was trained on: what it draws is held against them.

    Raises:
        DataError: the pictures cannot be read.
        RunError: they are others.
    """
    data = folder.config().data
    items = scan_folder(resolve_path(data.instance_data_dir), data.instance_prompt).items
    check_measured(folder, {item.name: (file_digest(item.path), item.prompt) for item in items})


def instance_latents(config: RunConfig, family: Family) -> LatentSet:
    """The instance pictures of a configuration as its training caches them, cut to squares, encoded by the base model.

    Raises:
        DataError: the pictures cannot be read.
    """
    data = config.data
    items = scan_folder(resolve_path(data.instance_data_dir), data.instance_prompt).items
    return encode(
        items, family.encode_pictures, family.encode_prompts, family.empty_condition,
        size=(data.resolution, data.resolution), center_crop=data.center_crop,
        random_flip=data.random_flip, progress=lambda done, total: None,
    )  # fmt: skip
