"""Sample pictures of one or several arms: the grid of prompts and steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.entries import Arm
from app.html import empty, paragraph
from app.view import sample_rows
from core.config.run import RunConfig
from core.errors import WorkbenchError
from core.runs.experiment_folder import ArmRun
from core.runs.folder import RunFolder
from core.samples.found import Spot, prompts_of, seeds_of, steps_of

SIDE = 128
"""Pixels on the page; pictures no larger than this are enlarged by whole pixels."""


def samples_html(
    arms: Sequence[Arm], found: dict[str, dict[Spot, Path]], seed: int | None = None, side: int = SIDE
) -> str:
    """The grid of all prompts for one seed, the first unless given."""
    spots = list(found.values())
    seeds = seeds_of(spots)
    if not seeds:
        return empty("No samples yet: the first are drawn before the first step.")
    shown = seed if seed in seeds else seeds[0]
    config = first_config([arm.folder for arm in arms])
    rows = []
    for place in prompts_of(spots):
        lines = []
        for label, samples in found.items():
            at = [Spot(step, place, shown) for step in steps_of(spots)]
            lines.append((label, [(f"step {spot.step}", spot, samples.get(spot)) for spot in at]))
        rows.append(sample_rows(lines, _text(config, place), side))
    pixels = " rw-pixels" if config is not None and config.data.resolution <= SIDE else ""
    note = paragraph(f"Seed {shown}, the same noise in every arm and at every step.")
    return f'{note}<div class="rw-prompts{pixels}">{"".join(rows)}</div>'


def prompts_text(runs: Sequence[ArmRun]) -> tuple[str, ...]:
    """The sample prompts, from the first run whose config can be read."""
    config = first_config([run.run for run in runs])
    return () if config is None else config.validation.validation_prompts


def prompt_text(runs: Sequence[ArmRun], place: int) -> str:
    """One of the sample prompts."""
    return _text(first_config([run.run for run in runs]), place)


def _text(config: RunConfig | None, place: int) -> str:
    prompts = () if config is None else config.validation.validation_prompts
    return prompts[place] if place < len(prompts) else f"prompt {place + 1}"


def first_config(folders: Sequence[RunFolder]) -> RunConfig | None:
    """The config of the first run that has a readable one."""
    return next((config for folder in folders if (config := config_of(folder)) is not None), None)


def config_of(folder: RunFolder) -> RunConfig | None:
    """A run's config, None where it cannot be read."""
    try:
        return folder.config()
    except WorkbenchError:
        return None
