"""The adapter that a run ends with: written aside, read back, then put in place."""

import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from torch import nn

from core.errors import RunError
from core.models.family import Family
from core.runs.files import cannot_write, make_folder, sync
from core.runs.room import require_room
from core.samples.tensors import finite_or_refuse, size_of, written
from core.training.adapter import adapter_tensors

ASIDE = ".writing-"


def save_final_adapter(family: Family, folder: Path, network: nn.Module, facts: dict[str, str], step: int) -> Path:
    """Writes the LoRA into ``folder``, whose file is the old one or the new one, never a part.

    Args:
        family: knows the file's format.
        folder: of the adapter; made when missing.
        network: with the adapter.
        facts: for the file's metadata.
        step: after which it is saved.

    Returns:
        Path of the file.

    Raises:
        RunError: a number in it is not finite, there is too little room, the disk does not take it, or what was
            written does not read back.
    """
    tensors = adapter_tensors(network, family.adapted_encoders())
    finite_or_refuse(tensors, "adapter", step)
    twice = 2 * size_of(tensors)  # its metadata is added on the way to a second file
    require_room(folder.parent, twice, "the adapter")
    aside = folder.with_name(f"{ASIDE}{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with written():
            fresh = family.save_adapter(aside, network, facts)
        _check(family, aside, fresh)
        sync(fresh)
        make_folder(folder)
        path = folder / fresh.name
        os.replace(fresh, path)
        sync(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return path


def _check(family: Family, folder: Path, path: Path) -> None:
    try:
        state = type(family.pipeline).lora_state_dict(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"{path.name} must read back, got an error: {error}; resume the run to save it again") from error
    tensors = state[0] if isinstance(state, tuple) else state  # some pipelines give kohya's alphas beside them
    if not tensors:
        raise RunError(f"{path.name} must hold the adapter, but nothing reads back; resume the run to save it again")
