"""How much memory a step needs beyond what is there before it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from core.bench import figure
from core.bench.network import demo_loop, throw_away

MIB = 2**20
BATCH = 8
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


def measure() -> None:
    """Prints the peak of a step above what lay in memory before it, with and without rollout, on the demos' bases."""
    plain = {preset: _step_peak(preset, scheduled_sampling_max_step_offset=0) for preset in ("demo", "demo-flow")}
    figure(f"peak of a plain step, batch {BATCH}", f"{plain['demo'] / MIB:.1f} MiB")
    for label, (preset, changes) in ARMS.items():
        peak = _step_peak(preset, **{**ROLLOUT, **changes})
        figure(f"{label}, K=10 stride 50 p=1 / plain", f"{peak / plain[preset]:.3f} ×", "≤ 1.05")


def _step_peak(preset: str, **changes: object) -> int:
    """Largest of a few steps, as rollouts differ in length, after a first one that makes the optimizer's state."""
    with throw_away() as folder:
        loop = demo_loop(Path(folder), preset, train_batch_size=BATCH, **changes)
        loop.take_step()
        return max(peak_bytes(loop.take_step) for _ in range(3))


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that torch held on the CPU at once while working, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events: list[Any] = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = torch.tensor([size for _, size in changes], dtype=torch.long).cumsum(0)
    return max(int(held.max()), 0) if len(held) > 0 else 0
