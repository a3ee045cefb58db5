"""Whether a training fits into the memory that is free, and what to change where it does not."""

from collections.abc import Iterator

import psutil

from core.config.run import RunConfig
from core.runs.check import Check
from core.runs.measurement import Measurement
from core.runs.memory import Memory, Need, need_of

TITLE = "Memory"
RESERVE = 512 * 2**20
"""Bytes that libraries take on a device beside what is forecast, and gaps between what is held."""


def free_now(measurement: Measurement) -> int:
    """What its device has free: the machine's memory as it is now; a GPU's as the measurement found it."""
    if measurement.free is None or measurement.device.startswith("cpu"):
        return psutil.virtual_memory().available
    return measurement.free


def memory_check(config: RunConfig, measurement: Measurement) -> Check | None:
    """Forecast peak against what is free, in words; None where no memory was told."""
    if measurement.memory is None:
        return None
    need, free = need_of(config, measurement.memory, measurement.device), free_now(measurement)
    told = (
        f"At most {size_text(need.peak)} on {measurement.device}, {size_text(need.above)} of it above the loaded base "
        f"model; forecast from shapes: {phases(need)}."
    )
    if need.peak + RESERVE <= free:
        return Check("pass", TITLE, f"{told} {size_text(free)} are free.")
    short = f"Only {size_text(free)} are free, and libraries take up to {size_text(RESERVE)}: it may not fit."
    return Check("warn", TITLE, f"{told} {short} To need less: {advice(config, measurement.memory, need)}.")


def size_text(count: float) -> str:
    """Bytes as people say them, in powers of 1024."""
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{max(count / 2**20, 1):.0f} MB"


def phases(need: Need) -> str:
    """What each phase needs at most."""
    drawing = "nothing is drawn" if need.drawing == 0 else f"pictures and probe between steps {size_text(need.drawing)}"
    return f"encoding prompts {size_text(need.encoding)}, a step {size_text(need.step)}, {drawing}"


def advice(config: RunConfig, memory: Memory, need: Need) -> str:
    """What to change for the phase that needs most: of the options that help, those that are not there yet."""
    if need.peak == need.encoding:
        return "a device with more memory, as base model and largest text encoder alone do not fit"
    found = list(_less_at_steps(config, memory) if need.peak == need.step else _less_at_drawing(config, memory))
    if config.training.mixed_precision == "no":
        found.append("take mixed_precision = bf16")
    return "; ".join([*found, "lower resolution"])


def _less_at_steps(config: RunConfig, memory: Memory) -> Iterator[str]:
    training = config.training
    if not training.gradient_checkpointing:
        yield "switch on gradient_checkpointing"
    if training.train_batch_size > 1:
        yield "lower train_batch_size and raise gradient_accumulation_steps"
    if training.optimizer != "adamw_8bit" and memory.optimizer > memory.activations // 4:
        yield "take optimizer = adamw_8bit or a lower rank"


def _less_at_drawing(config: RunConfig, memory: Memory) -> Iterator[str]:
    if memory.encoder > memory.autoencoder + memory.picture:
        yield "leave validation_prompts empty and drift_samples at 0, as text encoders come back for pictures"
    elif len(config.validation.validation_prompts) * config.validation.num_validation_images > 1:
        yield "draw fewer validation pictures"
