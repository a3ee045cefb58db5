"""Prompt adherence where a prompt asks for a flat background: the error of the border's colour.

Only a base model that was trained with named backgrounds can be judged so. Its folder holds ``backgrounds.json``,
colour name -> [red, green, blue], 0..255.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from core.errors import DataError, Problem
from core.evaluation.chain import border_error

FILE = "backgrounds.json"
Colour = tuple[float, float, float]


def read_backgrounds(model: str | Path) -> dict[str, Colour]:
    """The named backgrounds of a base model, each red, green and blue in 0..1; empty where its folder names none.

    Args:
        model: its folder; a name on a hub is no folder and has none.

    Raises:
        DataError: the file is there but is not what it should be.
    """
    path = Path(model) / FILE
    if not path.is_file():
        return {}
    try:
        named = {
            name: tuple(float(part) / 255 for part in colour) for name, colour in json.loads(path.read_text()).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path) from error
    if any(len(colour) != 3 or not all(0 <= part <= 1 for part in colour) for colour in named.values()):
        raise _unreadable(path)
    return {name: (red, green, blue) for name, (red, green, blue) in named.items()}


def _unreadable(path: Path) -> DataError:
    rule = f"{path} must map colour names to [red, green, blue] in 0..255; remove it or write it anew"
    return DataError([Problem(FILE, rule)])


def asked_for(prompt: str, backgrounds: Mapping[str, Colour]) -> str | None:
    """The name of the flat background that a prompt asks for: the first "<colour> background", else None.

    >>> asked_for("a fox on a Blue background", {"blue": (0.0, 0.0, 1.0)})
    'blue'
    """
    names = "|".join(re.escape(name) for name in backgrounds)
    found = re.search(rf"\b({names})\s+background\b", prompt, re.IGNORECASE) if names else None
    return None if found is None else next(name for name in backgrounds if name.lower() == found[1].lower())


def adherence(
    pictures: Float[Tensor, "n 3 height width"], prompts: Sequence[str], backgrounds: Mapping[str, Colour]
) -> float | None:
    """Mean of :func:`core.evaluation.chain.border_error` over the pictures whose prompt asks for a flat background.

    Args:
        pictures: decoded, 0..1.
        prompts: one a picture.
        backgrounds: of the base model.

    Returns:
        0..1, lower is better; None where no prompt asks for one.

    Raises:
        ValueError: the pictures have no border of that width inside them, or there is not one prompt a picture.
    """
    asked = [asked_for(prompt, backgrounds) for prompt in prompts]
    colours = [backgrounds[name] for name in asked if name is not None]
    if len(asked) != len(pictures):
        raise ValueError(f"prompts must be as many as pictures, got {len(asked)} and {len(pictures)}")
    if not colours:
        return None
    which = torch.tensor([name is not None for name in asked], device=pictures.device)
    return border_error(pictures[which], torch.tensor(colours, device=pictures.device))
