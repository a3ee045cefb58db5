"""Where the project's own files are. Everything that ships with the project is named relative to its root."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PRESETS_DIR = PROJECT_ROOT / "presets"
ASSETS_DIR = PROJECT_ROOT / "assets"
EMBEDDED_FLOW = "embedded-flow"
EMBEDDED_BASES: Mapping[str, Path] = MappingProxyType(
    {"embedded": ASSETS_DIR / "base", EMBEDDED_FLOW: ASSETS_DIR / "base-flow"}
)
"""Base models that ship with the project: the name that the option takes, and its folder. Both are the same small
denoiser, the first variance preserving (v_prediction), the second flow matching."""
PATH_OPTIONS = frozenset(
    {
        "pretrained_model_name_or_path", "single_file_config", "instance_data_dir", "class_data_dir",
        "accelerate_config_path",
    }
)  # fmt: skip
"""Flat names of the options that can name a file or folder."""
SINGLE_FILE = ".safetensors"
"""How the name of a base model ends that is one file."""


def resolve_path(text: str) -> Path:
    """The absolute path that a path option names.

    Args:
        text: An absolute path, ``~`` and all, or one relative to the project root (as shipped presets have it).

    Returns:
        An absolute path, which need not exist.
    """
    return PROJECT_ROOT / os.path.expanduser(text)


def model_path(name: str) -> str:
    """What ``from_pretrained`` is given: an embedded base, a local folder that exists, or a hub id as it stands."""
    folder = model_folder(name)
    return name if folder is None else str(folder)


def model_folder(name: str) -> Path | None:
    """Where a base model lies on this machine; None where it does not, as far as its name tells."""
    local = EMBEDDED_BASES[name] if name in EMBEDDED_BASES else resolve_path(name)
    return local if name in EMBEDDED_BASES or os.path.exists(local) else None


def is_single_file(name: str) -> bool:
    """Whether a base model is one file with all weights, by its name alone: it need not be here."""
    return name.endswith(SINGLE_FILE)


def base_label(name: str) -> str:
    """A base model's name as others may read it: no path of this machine, which may hold a user's name.

    >>> base_label("/home/bob/models/cats")
    'cats'
    """
    if name in EMBEDDED_BASES:
        return name
    is_here = model_folder(name) is not None or is_single_file(name)
    is_path = is_here or name.count("/") > 1 or name.startswith(("/", ".", "~")) or "\\" in name
    return Path(name.replace("\\", "/")).name if is_path else name
