"""Checkpoints: written aside, then renamed, so that a folder with the final name is whole."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import RunError
from core.training.adapter import load_adapter_state, save_adapter_state


@dataclass(frozen=True)
class Checkpoint:
    """A resumable state after ``step`` optimizer steps."""

    path: Path
    step: int


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Whole checkpoints, oldest first; half-written ones have another name and are not listed."""
    if not folder.is_dir():
        return []
    names = [path for path in folder.glob("step-*") if path.name[5:].isdigit() and (path / "state.json").is_file()]
    return sorted((Checkpoint(path, int(path.name[5:])) for path in names), key=lambda checkpoint: checkpoint.step)


def save_checkpoint(
    folder: Path, step: int, network: nn.Module, optimizer: torch.optim.Optimizer, scheduler, keep: int | None
) -> Checkpoint:
    """Writes adapter, optimizer and learning-rate state, then removes all but the newest ``keep``.

    The random streams need no state: they are functions of the step.

    Raises:
        RunError: the disk does not take it; the checkpoints that were there before stay.
    """
    path = folder / f"step-{step:06d}"
    aside = folder / f".writing-{path.name}"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_adapter_state(network, aside / "adapter.safetensors")
        save_file(_optimizer_tensors(optimizer), aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": step, "scheduler": scheduler.state_dict()}))
        shutil.rmtree(path, ignore_errors=True)
        aside.rename(path)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"the checkpoint {path} must be written, but {error}; free some space or choose another disk"
        ) from error
    if keep is not None:
        for old in list_checkpoints(folder)[:-keep]:
            shutil.rmtree(old.path)
    return Checkpoint(path, step)


def load_checkpoint(checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer, scheduler) -> None:
    """Puts a saved state back, bit for bit.

    Raises:
        RunError: the checkpoint is damaged.
    """
    try:
        state = json.loads((checkpoint.path / "state.json").read_text())["scheduler"]
        optimizer_tensors = load_file(checkpoint.path / "optimizer.safetensors")
        load_adapter_state(network, checkpoint.path / "adapter.safetensors")
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise RunError(
            f"the checkpoint {checkpoint.path} must be readable, but {error}; delete it to go on from an older one"
        ) from error
    _restore_optimizer(optimizer, optimizer_tensors)
    scheduler.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, scheduler.get_last_lr(), strict=True):
        group["lr"] = rate


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value.detach().clone().contiguous().cpu()
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for full_name, tensor in tensors.items():
        index, name = full_name.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    whole = optimizer.state_dict()
    optimizer.load_state_dict({**whole, "state": state})
