"""Which file a LoRA's path means. Imports no torch: the page checks with it what people type."""

import os
from pathlib import Path

from core.errors import DataError, Problem

SUFFIX = ".safetensors"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
PEFT_FILE = "adapter_model.safetensors"


def lora_problem(path: Path, rule: str) -> DataError:
    """The error that a file is no LoRA that can be used."""
    return DataError([Problem(path.name, f"{path.name} must {rule}")])


def lora_path(path: Path) -> Path:
    """The safetensors file that is meant: itself, or the one in a diffusers or PEFT folder.

    Raises:
        DataError: there is none, or it is of another sort; a pickle can run code when it is opened, so none is.
    """
    if os.path.isdir(path):
        found = [path / name for name in (DIFFUSERS_FILE, PEFT_FILE) if os.path.isfile(path / name)]
        if not found:
            raise lora_problem(path, f"hold {DIFFUSERS_FILE} or {PEFT_FILE}, got a folder without them")
        return found[0]
    if path.suffix.lower() != SUFFIX:
        rule = "be a .safetensors file, got another kind; convert it, since a pickle can run code when it is opened"
        raise lora_problem(path, rule)
    if not os.path.isfile(path):  # False for pipes and devices, and for a name that no file can have
        what = "a pipe, a device or a link to nothing" if os.path.lexists(path) else "nothing"
        raise lora_problem(path, f"be a file that exists, got {what} at {path}; check the path")
    return path
