"""How much memory a step needs beyond what is there before it, with rollout and without, and against its forecast."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from core.bench import figure
from core.bench.network import demo_loop, throw_away
from core.runs.memory import need_of
from core.training.loop import Loop
from core.training.memory import forecast_memory

MIB = 2**20
BATCH, STEPS = 8, 3
OFF = {"scheduled_sampling_max_step_offset": 0}
ROLLOUT = {
    "scheduled_sampling_max_step_offset": 10, "scheduled_sampling_stride": 50, "scheduled_sampling_probability": 1.0,
    "scheduled_sampling_ramp_steps": 0,
}  # fmt: skip
ARMS = {
    "fresh": ("demo", {}),
    "fresh, posterior target": ("demo", {"scheduled_sampling_target": "posterior"}),
    "fresh, unipc of order 3": ("demo", {"scheduled_sampling_order": 3}),
    "visited": ("demo", {"scheduled_sampling_mode": "visited"}),
    "fresh with ReflexFlow": ("demo-flow", {"scheduled_sampling_reflexflow": True, "scheduled_sampling_stride": 50}),
    "visited with ReflexFlow": (
        "demo-flow",
        {"scheduled_sampling_reflexflow": True, "scheduled_sampling_mode": "visited", "scheduled_sampling_stride": 50},
    ),
}
FORECAST_BATCH = 4
CHECKPOINTED = {"gradient_checkpointing": True}
VISITED = {**ROLLOUT, "scheduled_sampling_mode": "visited"}
FORECAST: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("demo", {}),
    "rollout": ("demo", ROLLOUT),
    "guided rollout": ("demo", {**ROLLOUT, "scheduled_sampling_guidance_scale": 3.0}),
    "visited": ("demo", VISITED),
    "plain, two micro-steps": ("demo", {"gradient_accumulation_steps": 2}),
    "plain, checkpointing": ("demo", CHECKPOINTED),
    "rollout, checkpointing": ("demo", {**ROLLOUT, **CHECKPOINTED}),
    "plain, checkpointing, all layers, rank 64": ("demo", {**CHECKPOINTED, "lora_targets": "all", "rank": 64}),
    "ReflexFlow": ("demo-flow", {**ROLLOUT, "scheduled_sampling_reflexflow": True}),
    "visited, ReflexFlow, checkpointing": (
        "demo-flow", {**VISITED, **CHECKPOINTED, "scheduled_sampling_reflexflow": True},
    ),
}  # fmt: skip


def measure() -> None:
    """Prints peaks of steps above what lay in memory before them, on the demos' bases."""
    _against_plain()
    for label, (preset, changes) in FORECAST.items():
        told, peak = forecast_and_peak(preset, **{**OFF, "train_batch_size": FORECAST_BATCH, **changes})
        figure(f"{label}, batch {FORECAST_BATCH}: forecast", f"{told / MIB:.1f} MiB")
        figure(f"{label}, batch {FORECAST_BATCH}: measured", f"{peak / MIB:.1f} MiB")
        figure(f"{label}, batch {FORECAST_BATCH}: forecast / measured", f"{told / peak:.3f} ×", "0.75 to 1.25")


def forecast_and_peak(preset: str, steps: int = STEPS, **changes: object) -> tuple[int, int]:
    """Bytes of a step above what stays between steps: as forecast, and as torch's profiler counts them."""
    with throw_away() as folder:
        loop = demo_loop(Path(folder), preset, **changes)
        memory = forecast_memory(loop.parts)
        told = need_of(loop.parts.config, memory, "cpu").step - memory.network - memory.adapter - memory.optimizer
        return told, _peak_of(loop, steps)


def _against_plain() -> None:
    plain = {preset: _step_peak(preset, **OFF) for preset in ("demo", "demo-flow")}
    figure(f"peak of a plain step, batch {BATCH}", f"{plain['demo'] / MIB:.1f} MiB")
    for label, (preset, changes) in ARMS.items():
        peak = _step_peak(preset, **{**ROLLOUT, **changes})
        figure(f"{label}, K=10 stride 50 p=1 / plain", f"{peak / plain[preset]:.3f} ×", "≤ 1.05")


def _step_peak(preset: str, **changes: object) -> int:
    with throw_away() as folder:
        return _peak_of(demo_loop(Path(folder), preset, train_batch_size=BATCH, **changes))


def _peak_of(loop: Loop, steps: int = STEPS) -> int:
    """Largest of some steps, as rollouts differ in length, after a first one that makes the optimizer's state."""
    loop.take_step()
    return max(peak_bytes(loop.take_step) for _ in range(steps))


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that torch held on the CPU at once while working, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events: list[Any] = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = torch.tensor([size for _, size in changes], dtype=torch.long).cumsum(0)
    return max(int(held.max()), 0) if len(held) > 0 else 0
