"""Class pictures for prior preservation, drawn once by the base model and kept in the workspace."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.data.dreambooth import Item, scan_folder
from core.errors import ConfigError, Problem
from core.models.device import accelerator
from core.models.family import Family
from core.models.fingerprint import whole_print
from core.runs.cached import CLASS_IMAGES
from core.runs.file_lock import lock
from core.runs.files import make_folder, write_whole
from core.runs.workspace import Workspace
from core.samples.aside import set_aside
from core.samples.generate import Recipe, generate, png
from core.samples.load import load_base
from core.training.precision import require_precision
from core.training.report import Report
from core.training.streams import key

WAIT_SECONDS = 1.0
"""Between two looks whether a stop is asked for."""


def class_items(config: RunConfig, family: Family, folder: Path, report: Report, device: torch.device) -> list[Item]:
    """``num_class_images`` pictures of the class: the user's first, then ones that the base model draws.

    Drawn pictures depend on model, precision, prompt, seed and sampling alone, so all runs of a workspace share them. A
    picture that is already there is not drawn again, and of two processes that need the same ones the second waits.

    Args:
        config: of the run.
        family: the base model, without an adapter.
        folder: the workspace's folder for class pictures.
        report: progress and stop.
        device: that is drawn on; the network is there meanwhile only.

    Raises:
        DataError: a picture of the user's cannot be used.
        RunError: the disk does not take a drawn picture.
    """
    data = config.data
    prompt = str(data.class_prompt)
    own: list[Item] = []
    if data.class_data_dir is not None:
        found = scan_folder(resolve_path(data.class_data_dir), prompt, "class_data_dir", masked=data.masked_loss)
        own = list(found.items)[: data.num_class_images]
    missing = data.num_class_images - len(own)
    if missing == 0:
        return own
    recipe = Recipe(
        config.validation.validation_num_inference_steps, config.validation.validation_guidance_scale, data.resolution
    )
    drawn = folder / _name(config, family, recipe)
    seeds = [key(config.training.seed, "class_image", index) for index in range(missing)]
    if _absent(drawn, seeds):
        make_folder(drawn)
        with _alone(drawn / ".lock", report):
            absent = _absent(drawn, seeds)
            if absent:
                with _brought(family.network, device):
                    _draw(family, prompt, absent, recipe, drawn, report)
    size = data.resolution
    return own + [Item(drawn / f"{seed}.png", f"{seed}.png", prompt, "class prompt", size, size) for seed in seeds]


def draw_class_images(config: RunConfig, workspace: Workspace, report: Report) -> list[Item]:
    """Loads the base model and draws the class pictures that a training would draw, as a job of its own.

    Raises:
        ConfigError: the configuration has no use for class pictures.
        DataError: the base model or a picture of the user's cannot be read.
        RunError: the disk does not take a drawn picture, or what is put aside meanwhile.
    """
    if not config.data.with_prior_preservation:
        rule = "with_prior_preservation must be true for class pictures to be drawn, got false"
        raise ConfigError([Problem("with_prior_preservation", rule)])
    require_precision(config)
    family, device = load_base(config), accelerator()
    set_aside(family, device, workspace.root)
    return class_items(config, family, workspace.root / CLASS_IMAGES, report, device)


@contextmanager
def _brought(network: nn.Module, device: torch.device) -> Iterator[None]:
    """A frozen network on a device; afterwards it is where it was, for it may be split over several."""
    tensors = [*network.parameters(), *network.buffers()]
    kept = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = tensor.data.to(device)
        yield
    finally:
        for tensor, data in zip(tensors, kept, strict=True):
            tensor.data = data


def _absent(drawn: Path, seeds: list[int]) -> list[int]:
    return [seed for seed in seeds if not (drawn / f"{seed}.png").is_file()]


@contextmanager
def _alone(path: Path, report: Report) -> Iterator[None]:
    """Waits until no other process draws the same pictures; a stop is heeded meanwhile."""
    while (held := lock(path, WAIT_SECONDS)) is None:
        report.check()
    try:
        yield
    finally:
        os.close(held)


def _draw(family: Family, prompt: str, seeds: list[int], recipe: Recipe, drawn: Path, report: Report) -> None:
    report.phase("class_images", "drawing class pictures with the base model", len(seeds), "picture")
    samples = generate(family, [prompt], seeds, recipe, on_step=report.check)
    for done, sample in enumerate(samples):
        write_whole(drawn / f"{sample.seed}.png", png(sample.picture), durable=True)
        report.progress(done + 1, len(seeds))


def _name(config: RunConfig, family: Family, recipe: Recipe) -> str:
    sampling = [recipe.steps, recipe.guidance, recipe.size, config.training.mixed_precision]
    facts = [family.kind, whole_print(family), config.data.class_prompt, *sampling]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
