"""The pictures of a model card: the same prompt and seed without the LoRA and with it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from core.config.run import RunConfig
from core.runs.folder import RunFolder
from core.samples.found import Spot, find_samples
from core.samples.generate import to_picture

FOLDER = "images"
MOST = 4
"""Pairs on a card."""


@dataclass(frozen=True)
class Pair:
    """Two pictures that differ in the LoRA alone.

    Attributes:
        prompt: Of both.
        seed: Of both.
        without: The base model's, relative to the export.
        with_lora: The other, relative to the export.
    """

    prompt: str
    seed: int
    without: str
    with_lora: str


def sample_pairs(run: RunFolder, config: RunConfig, steps: int, folder: Path) -> tuple[Pair, ...]:
    """The run's own samples: those before the first step are the base model's, those of the last step the LoRA's.

    Args:
        run: Whose they are.
        config: Of the run.
        steps: Its last step.
        folder: Of the export; they are copied into it.

    Returns:
        A pair a prompt, of the first seed that has both; none where there are no such samples.
    """
    found, prompts = find_samples(run.samples_dir), config.validation.validation_prompts
    both: dict[int, Spot] = {}
    for spot in found:
        if spot.step == 0 and spot.prompt < len(prompts) and Spot(steps, spot.prompt, spot.seed) in found:
            both.setdefault(spot.prompt, spot)
    pairs = []
    for spot in list(both.values())[:MOST]:
        sources = [found[spot], found[Spot(steps, spot.prompt, spot.seed)]]
        names = _names(spot.prompt, spot.seed)
        for source, name in zip(sources, names, strict=True):
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        pairs.append(Pair(prompts[spot.prompt], spot.seed, *names))
    return tuple(pairs)


def drawn_pair(prompt: str, seed: int, pictures: Sequence[Tensor], folder: Path) -> Pair:
    """The pair that the check drew.

    Args:
        prompt: Of both.
        seed: Of both.
        pictures: Without and with the LoRA, each (1, 3, height, width) in 0..1.
        folder: Of the export; they are written into it.
    """
    names = _names(0, seed)
    for picture, name in zip(pictures, names, strict=True):
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        to_picture(picture[0]).save(target)
    return Pair(prompt, seed, *names)


def _names(prompt: int, seed: int) -> tuple[str, str]:
    stem = f"{FOLDER}/p{prompt:02d}-s{seed}"
    return f"{stem}-without.png", f"{stem}-with.png"
