"""Sample pictures of one or several arms: the grid of prompts and steps, and one picture of each arm side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.entries import Arm
from app.html import empty, paragraph, picture
from app.samples import Spot, alt_text, prompts_of, seeds_of, steps_of
from app.view import file_url, sample_rows
from core.config.run import RunConfig
from core.errors import WorkbenchError

SIDE = 128
"""Pixels on the page; pictures no larger than this are enlarged by whole pixels."""
LARGE = 192


def samples_html(
    arms: Sequence[Arm], found: dict[str, dict[Spot, Path]], seed: int | None = None, side: int = SIDE
) -> str:
    """The grid of all prompts for one seed, the first unless given."""
    spots = list(found.values())
    seeds = seeds_of(spots)
    if not seeds:
        return empty("No samples yet: the first are drawn before the first step.")
    shown = seed if seed in seeds else seeds[0]
    prompts = prompts_text(arms)
    rows = []
    for place in prompts_of(spots):
        lines = []
        for label, samples in found.items():
            at = [Spot(step, place, shown) for step in steps_of(spots)]
            lines.append((label, [(f"step {spot.step}", spot, samples.get(spot)) for spot in at]))
        rows.append(sample_rows(lines, prompts[place] if place < len(prompts) else f"prompt {place + 1}", side))
    pixels = " rw-pixels" if is_small(arms) else ""
    note = paragraph(f"Seed {shown}, the same noise in every arm and at every step.")
    return f'{note}<div class="rw-prompts{pixels}">{"".join(rows)}</div>'


def prompts_text(arms: Sequence[Arm]) -> tuple[str, ...]:
    """The sample prompts, from the first arm whose config can be read."""
    for arm in arms:
        config = config_of_arm(arm)
        if config is not None:
            return config.validation.validation_prompts
    return ()


def is_small(arms: Sequence[Arm]) -> bool:
    """Whether the pictures are shown enlarged: then their own pixels are, not a smoothed version of them."""
    configs = [config for arm in arms if (config := config_of_arm(arm)) is not None]
    return any(config.data.resolution <= SIDE for config in configs)


def config_of_arm(arm: Arm) -> RunConfig | None:
    """An arm's config, None where it cannot be read."""
    try:
        return arm.folder.config()
    except WorkbenchError:
        return None


def pair_outputs(
    arms: Sequence[Arm], found: dict[str, dict[Spot, Path]], prompt: Any, step: Any, seed: Any, left: Any, right: Any
) -> list[Any]:
    """The slider's two pictures as paths, and all arms of that spot side by side."""
    if prompt is None or step is None or seed is None:
        return [None, empty("No samples yet: they appear as they are drawn.")]
    spot = Spot(int(step), int(prompt), int(seed))
    texts = prompts_text(arms)
    text = texts[spot.prompt] if spot.prompt < len(texts) else f"prompt {spot.prompt + 1}"
    paths = {label: samples.get(spot) for label, samples in found.items()}
    one, other = paths.get(left), paths.get(right)
    both = (str(one), str(other)) if one and other else None
    shown = "".join(
        picture(file_url(path), alt_text(label, spot, text), label, 192) for label, path in paths.items() if path
    )
    missing = [label for label, path in paths.items() if path is None]
    note = paragraph(f"Not drawn yet: {', '.join(missing)}.") if missing else ""
    heading_line = paragraph(f"Left: {left}. Right: {right}. Step {spot.step}, seed {spot.seed}.")
    small = is_small(arms)
    style = "<style>#pair img{image-rendering:pixelated}</style>" if small else ""
    return [both, f'{style}{heading_line}<div class="rw-pictures{" rw-pixels" if small else ""}">{shown}</div>{note}']
