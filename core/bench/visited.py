"""What a state costs that a visited rollout trains on, beside an item of a plain step."""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from core.bench import figure
from core.bench.network import demo_loop, last_record, throw_away
from core.rollout.plan import RolloutPlan
from core.training.batches import Batch, BatchStream, Position
from core.training.loop import Loop

BATCH, LONGEST, STRIDE = 8, 3, 50
ROUNDS, WARMUP = 16, 2
PLAIN = {"train_batch_size": BATCH, "scheduled_sampling_max_step_offset": 0}
VISITED = {
    "train_batch_size": BATCH, "scheduled_sampling_max_step_offset": LONGEST, "scheduled_sampling_stride": STRIDE,
    "scheduled_sampling_probability": 1.0, "scheduled_sampling_ramp_steps": 0, "scheduled_sampling_mode": "visited",
    "scheduled_sampling_strategy": "uniform",
}  # fmt: skip


class _FullLength(BatchStream):
    """The same batches with k = K for every item."""

    @classmethod
    def of(cls, stream: BatchStream) -> "_FullLength":
        whole = cls.__new__(cls)
        whole.__dict__.update(stream.__dict__)
        return whole

    def draw(self, position: Position, probability: float) -> Batch:
        batch = super().draw(position, probability)
        target = batch.plan.target.clamp(max=self.last - LONGEST * STRIDE)
        steps = torch.full((len(target),), LONGEST)
        plan = RolloutPlan(source=target + LONGEST * STRIDE, target=target, steps=steps)
        share = torch.full((LONGEST + 1, len(target)), 1 / (LONGEST + 1))
        return replace(batch, plan=plan, share=share)


def measure() -> None:
    """Prints seconds a trained state, optimizer included, for k = K and for drawn k, against a plain step's item."""
    with throw_away() as folder:
        plain, drawn, full = (demo_loop(Path(folder), "demo", **options) for options in (PLAIN, VISITED, VISITED))
        full.parts = replace(full.parts, stream=_FullLength.of(full.parts.stream))
        rows = [[_each(loop) for loop in (plain, full, drawn)] for _ in range(ROUNDS + WARMUP)][WARMUP:]
    per_item, per_full, _ = (statistics.median(column) for column in zip(*rows, strict=True))
    figure(f"plain step, batch {BATCH}, per item", f"{per_item * 1e3:.2f} ms")
    figure(f"visited, k = K = {LONGEST} for all items, per trained state", f"{per_full * 1e3:.2f} ms")
    ratio = statistics.median(full / item for item, full, _ in rows)
    figure("visited with k = K / plain, per state, median of pairs", f"{ratio:.3f} ×", "≤ 1.05")
    ratio = statistics.median(mixed / item for item, _, mixed in rows)
    figure(f"visited with k drawn from 0..{LONGEST} / plain, per state, median of pairs", f"{ratio:.3f} ×")


def _each(loop: Loop) -> float:
    """Seconds of a whole step over the states that it trained."""
    began = time.perf_counter()
    loop.take_step()
    return (time.perf_counter() - began) / last_record(loop).trained_states
