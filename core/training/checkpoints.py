"""Checkpoints: written aside, synced, then renamed, so that a folder with the final name is whole.

That holds after a kill and after a power cut alike. A folder that is to go is renamed first, too: nothing that is
half there ever bears a checkpoint's name.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from core.errors import RunError, printable
from core.runs.files import cannot_write, make_folder, sync, write_whole
from core.runs.room import require_room
from core.samples.tensors import finite_or_refuse, size_of, written
from core.training.adapter import NONE, Encoders, adapter_tensors, load_adapter_state
from core.training.optimizers import read_state, state_bytes, write_state

ASIDE, DOOMED = ".writing-", ".deleting-"
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A resumable state after ``step`` optimizer steps."""

    path: Path
    step: int


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Whole checkpoints, oldest first; half-written ones have another name and are not listed."""
    if not folder.is_dir():
        return []
    names = [path for path in folder.glob("step-*") if path.name[5:].isdigit() and (path / _STATE).is_file()]
    return sorted((Checkpoint(path, int(path.name[5:])) for path in names), key=lambda checkpoint: checkpoint.step)


def tidy_checkpoints(folder: Path, keep: int | None) -> None:
    """Removes what a crash left half written, half deleted or one too many; for the process that trains the run.

    Raises:
        RunError: an old checkpoint cannot be removed.
    """
    prune_checkpoints(folder, keep)
    for pattern in (f"{ASIDE}*", f"{DOOMED}*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def checkpoint_bytes(network: nn.Module, optimizer: str, encoders: Encoders = NONE) -> int:
    """What one checkpoint takes, before there is an optimizer state to measure.

    Args:
        network: with its adapter.
        optimizer: its name in the options.
        encoders: text encoders that are trained.
    """
    tensors = adapter_tensors(network, encoders)
    return size_of(tensors) + state_bytes(optimizer, tensors.values())


def save_checkpoint(
    folder: Path, step: int, network: nn.Module, optimizer: torch.optim.Optimizer, scheduler, keep: int | None,
    encoders: Encoders = NONE, scaler: GradScaler | None = None,
) -> Checkpoint:  # fmt: skip
    """Writes adapters, optimizer, scaler and learning-rate state, then removes all but the newest ``keep``.

    The random streams need no state: they are functions of the step.

    Raises:
        RunError: a number in it is not finite, there is too little room, or the disk does not take it; the checkpoints
            that were there before stay.
    """
    moments, numbers = read_state(optimizer)
    files = {"adapter.safetensors": adapter_tensors(network, encoders), "optimizer.safetensors": moments}
    for name, tensors in files.items():
        finite_or_refuse(tensors, name.removesuffix(".safetensors"), step)
    make_folder(folder)
    require_room(folder, sum(size_of(tensors) for tensors in files.values()), f"the checkpoint of step {step}")
    scale = None if scaler is None else scaler.state_dict()
    state = {"step": step, "scheduler": scheduler.state_dict(), "optimizer": numbers, "scaler": scale}
    path = folder / f"step-{step:06d}"
    aside = folder / f"{ASIDE}{path.name}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _write(aside, files, json.dumps(state))
        if path.exists():  # no whole one: a run never takes a step twice that it can resume from
            _discard(path)
        aside.rename(path)
        sync(folder)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # what could not be finished shall not take the room from what comes
    prune_checkpoints(folder, keep)
    return Checkpoint(path, step)


def prune_checkpoints(folder: Path, keep: int | None) -> None:
    """Removes all but the newest ``keep``; None keeps all.

    Raises:
        RunError: one cannot be removed.
    """
    for old in [] if keep is None else list_checkpoints(folder)[:-keep]:
        try:
            _discard(old.path)
        except OSError as error:
            raise cannot_write(old.path, error) from error


def _write(aside: Path, files: Mapping[str, dict[str, Tensor]], state: str) -> None:
    aside.mkdir()
    for name, tensors in files.items():
        with written():
            save_file(tensors, aside / name)
        sync(aside / name)
    write_whole(aside / _STATE, state, durable=True)
    sync(aside)


def _discard(path: Path) -> None:
    doomed = path.with_name(f"{DOOMED}{path.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def load_checkpoint(
    checkpoint: Checkpoint, network: nn.Module, optimizer: torch.optim.Optimizer, scheduler, encoders: Encoders = NONE,
    scaler: GradScaler | None = None,
) -> None:  # fmt: skip
    """Puts a saved state back, bit for bit.

    Raises:
        RunError: the checkpoint is damaged.
    """
    try:
        state = json.loads((checkpoint.path / _STATE).read_text())
        optimizer_tensors = load_file(checkpoint.path / "optimizer.safetensors")
        load_adapter_state(network, checkpoint.path / "adapter.safetensors", encoders)
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])
        if scaler is None or optimizer_tensors:  # in fp16 all steps until then may have been skipped
            write_state(optimizer, optimizer_tensors, state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        for group, rate in zip(optimizer.param_groups, scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"the checkpoint {checkpoint.path} must be readable, got an error: {printable(str(error), 300)}; "
            "delete it to go on from an older one"
        ) from error
