"""How near the forecast of a step's length, calibrated by a dry run, is to what steps then take."""

import statistics
from pathlib import Path

from core.bench import figure
from core.bench.network import demo_loop, last_record, throw_away
from core.runs.cost import forecast_of
from core.training.dry_run import measure as dry_run
from core.training.loop import Loop

STEPS, WARMUP = 40, 3
COMMON = {
    "train_batch_size": 4, "with_prior_preservation": True, "scheduled_sampling_max_step_offset": 3,
    "scheduled_sampling_stride": "inference", "scheduled_sampling_probability": 1.0, "scheduled_sampling_ramp_steps": 0,
}  # fmt: skip
PLAIN = {**COMMON, "scheduled_sampling_max_step_offset": 0}
ARMS = {
    "demo, fresh": ("demo", {}),
    "demo, fresh, rk4, p = 0.5": ("demo", {"scheduled_sampling_sampler": "rk4", "scheduled_sampling_probability": 0.5}),
    "demo, visited": ("demo", {"scheduled_sampling_mode": "visited"}),
    "demo-flow, fresh with ReflexFlow": ("demo-flow", {"scheduled_sampling_reflexflow": True}),
    "demo-flow, visited": (
        "demo-flow", {"scheduled_sampling_mode": "visited", "scheduled_sampling_reflexflow": False},
    ),
    "demo-flow, fresh, guidance 2": (
        "demo-flow", {"scheduled_sampling_guidance_scale": 2.0, "scheduled_sampling_reflexflow": False},
    ),
}  # fmt: skip


def measure() -> None:
    """Prints predicted and measured step time, relative to a plain step, for options of both embedded bases."""
    for label, (preset, changes) in ARMS.items():
        with throw_away() as folder:
            plain, rolled = (demo_loop(Path(folder), preset, **options) for options in (PLAIN, {**COMMON, **changes}))
            predicted = forecast_of(rolled.parts.config, dry_run(rolled.parts, lambda: None)).relative_step_time
            pairs = [(_seconds(rolled), _seconds(plain)) for _ in range(STEPS + WARMUP)][WARMUP:]
        took, bare = (statistics.mean(column) for column in zip(*pairs, strict=True))
        figure(f"{label}: predicted, relative to a plain step", f"{predicted:.2f} ×")
        figure(f"{label}: measured in {STEPS} steps", f"{took / bare:.2f} ×")
        figure(f"{label}: forecast / measured", f"{predicted * bare / took:.3f} ×", "0.90 to 1.10")


def _seconds(loop: Loop) -> float:
    loop.take_step()
    return last_record(loop).seconds
