"""Groups of pictures in a data folder: the folder itself and kohya's ``N_prompt`` folders in it. Imports no torch."""

import re
from dataclasses import dataclass
from pathlib import Path

MOST_REPEATS = 1000
"""More is a date or another number that was never meant: ``2024_holiday`` is no folder of 2024 repeats."""
FOLDER_NAME = "folder name"
"""Source of a prompt that comes from the name of a kohya folder."""
_NAME = re.compile(r"([0-9]+)_(.*\S.*)")


@dataclass(frozen=True)
class Group:
    """Pictures that lie in one folder.

    Attributes:
        path: the folder.
        prefix: of its files' names, from the data folder on; empty, or ending with a slash.
        repeats: how often each of its pictures comes in an epoch.
        prompt: of its pictures without a caption.
        source: where that prompt comes from.
    """

    path: Path
    prefix: str
    repeats: int
    prompt: str
    source: str


def kohya_group(path: Path) -> Group | None:
    """The group of a folder that is named ``N_prompt``; None where it is named otherwise.

    The prompt is what follows the first underscore, word for word, with single blanks.
    """
    found = _parts(path.name)
    if found is None:
        return None
    repeats, prompt = found
    too_many = len(repeats) > len(str(MOST_REPEATS)) or int(repeats) > MOST_REPEATS
    if too_many or int(repeats) == 0:
        return None
    return Group(path, f"{path.name}/", int(repeats), prompt, FOLDER_NAME)


def why_not_a_group(path: Path) -> str:
    """Why the pictures in a folder are not taken, in words."""
    found = _parts(path.name)
    if found is None:
        return "a folder that is not named as 10_sks cat is"
    return f"a folder with {found[0][:20]} repeats, where 1 to {MOST_REPEATS} can be"


def _parts(name: str) -> tuple[str, str] | None:
    """The digits and the prompt in a folder's name."""
    found = _NAME.fullmatch(name)
    return (found[1], " ".join(found[2].split())) if found is not None and name.isprintable() else None
