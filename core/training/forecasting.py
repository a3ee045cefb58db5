"""What a training would cost on this machine, measured without training."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from core.config.run import RunConfig
from core.runs.cost import forecast_of, items_per_micro_step, level_warning, share_above_level
from core.runs.fits import memory_check
from core.runs.folder import RunFolder
from core.runs.lock import hold_training_lock
from core.runs.measurement import Measurement, keep_measurement, measurement_path
from core.runs.memory import Memory, need_of
from core.runs.workspace import Workspace
from core.training.build import build, make_accelerator
from core.training.dry_run import measure
from core.training.memory import forecast_memory, free_bytes
from core.training.report import Report

MIB = 2**20


def measure_here(config: RunConfig, workspace: Workspace) -> Measurement:
    """Builds the training in this process, measures it, and keeps what was found in the workspace.

    Class pictures are neither drawn nor read: with prior preservation instance pictures stand in for them, in a batch
    of twice the size.

    Raises:
        WorkbenchError: If the training cannot be built, another one is in progress, or nothing can be written.
    """
    folder = RunFolder(measurement_path(workspace.root, config).with_suffix(""))
    data = config.data.model_copy(update={"with_prior_preservation": False})
    training = config.training.model_copy(update={"train_batch_size": items_per_micro_step(config)})
    alone = config.model_copy(update={"data": data, "training": training})
    with hold_training_lock(workspace.root, "forecast"):
        report = Report(folder, None)
        accelerator = make_accelerator(alone)
        free = free_bytes(accelerator.device)
        parts = build(alone, workspace.root / "class_images", report, accelerator)
        found = replace(measure(parts, report.check), memory=forecast_memory(parts), free=free)
    keep_measurement(workspace.root, config, found)
    return found


def as_json(config: RunConfig, found: Measurement) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "forecast": asdict(forecast_of(config, found)),
        "measurement": asdict(found),
        "start_above_level": share_above_level(config, found.facts),
        "warning": level_warning(config, found.facts),
        "memory": None if found.memory is None else asdict(need_of(config, found.memory, found.device)),
    }


def as_lines(config: RunConfig, found: Measurement) -> Iterator[str]:
    """The same for people."""
    cost, facts, steps = forecast_of(config, found), found.facts, config.training.max_train_steps
    seconds, plain = cost.seconds_per_step, cost.plain_seconds_per_step
    assert seconds is not None
    assert plain is not None
    yield f"seconds per step       {seconds:.3f} with rollout, {plain:.3f} without, on {found.device}"
    yield f"relative step time     {cost.relative_step_time:.2f} × a plain one"
    yield f"whole training         {steps} steps, {steps * seconds / 60:.1f} min ({steps * plain / 60:.1f} without)"
    if found.memory is not None:
        yield from _memory_lines(config, found.memory, found.device)
    calls = f"{cost.rollout_calls_per_step:.2f} without gradient, {cost.trained_calls_per_step:.2f} with"
    yield f"calls per step         {calls}"
    yield f"forwards per item      {cost.rollout_forwards_per_item:.2f} without gradient"
    yield f"states per item        {cost.trained_per_item:.2f} trained on"
    yield f"inference grid         {', '.join(f'{point:.0f}' for point in facts.grid)}"
    if facts.distance is None or facts.level is None:
        yield "nearest two pictures   none: fewer than two different ones share a caption"
    else:
        yield f"nearest two pictures   distance {facts.distance:.2f}"
        yield f"safe level             sigma/alpha = {facts.level:.2f}, at timestep {facts.level_timestep:.0f}"
    warning = level_warning(config, facts)
    if warning is not None:
        yield f"warning: {warning}"
    fits = memory_check(config, found)
    if fits is not None and fits.level == "warn":
        yield f"warning: {fits.text}"


def _memory_lines(config: RunConfig, memory: Memory, device: str) -> Iterator[str]:
    """Peaks by phase, told from shapes; beside them libraries take some hundred MiB."""
    need = need_of(config, memory, device)
    parts = {
        "network": need.network, "LoRA": memory.adapter, "gradients": memory.gradients, "optimizer": memory.optimizer,
        "activations": memory.activations,
    }  # fmt: skip
    if memory.encoders > 0:
        parts["text encoders"] = memory.encoders
    shown = ", ".join(f"{name} {size / MIB:,.0f}" for name, size in parts.items())
    yield f"memory at most         {need.peak / MIB:,.0f} MiB, {need.above / MIB:,.0f} above the loaded base model"
    yield f"memory of a step       {need.step / MIB:,.0f} MiB: {shown}"
    if need.drawing > 0:
        yield f"memory of a picture    {need.drawing / MIB:,.0f} MiB, with the drift probe's own"
    yield f"memory of prompts      {need.encoding / MIB:,.0f} MiB, before the first step"
