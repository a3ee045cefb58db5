"""Which device this process trains on, told without torch, so that each device has a lock of its own."""

import os
import re
from collections.abc import Mapping

VARIABLE = "CUDA_VISIBLE_DEVICES"
DEFAULT = "default"


def device_keys(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The devices that a training of this process occupies, sorted, each a name that may stand in a file name.

    ``CUDA_VISIBLE_DEVICES`` names them. Without it, with GPU 0 in it and with nothing in it a training takes what a
    training takes that is told nothing, the first GPU or the CPU: these are the same key, ``default``.
    """
    keys = set()
    for name in environment.get(VARIABLE, "").split(","):
        known = name.strip()
        if not known or known.startswith("-"):  # CUDA ignores the rest of the list too
            break
        keys.add(DEFAULT if known.strip("0") == "" else re.sub(r"[^A-Za-z0-9-]+", "-", known))
    return tuple(sorted(keys)) if keys else (DEFAULT,)


def keyed(name: str, key: str) -> str:
    """The name of a device's own file: ``name`` for the default one, else with the device behind its stem."""
    if key == DEFAULT:
        return name
    stem, dot, ending = name.partition(".")
    return f"{stem}-{key}{dot}{ending}"
