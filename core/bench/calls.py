"""How many model calls a rollout takes, and how much slower one item at a time would be."""

import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from core.bench import figure
from core.bench.network import demo_loop, throw_away
from core.noise.denoiser import evaluation_mode
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.training.batches import Batch, Position
from core.training.dry_run import finish
from core.training.loop import Loop
from core.training.step import Trainer, fresh_step

BATCH, LONGEST = 8, 10
DRAWS, COUNTED, TIMED = 2_000, 500, 6
OPTIONS = {
    "train_batch_size": BATCH, "scheduled_sampling_max_step_offset": LONGEST, "scheduled_sampling_stride": 1,
    "scheduled_sampling_probability": 1.0, "scheduled_sampling_ramp_steps": 0,
    "scheduled_sampling_strategy": "uniform",
}  # fmt: skip


def measure() -> None:
    """Prints model calls a step and the ratio of seconds at B = 8, K = 10, p = 1 on the demos' networks."""
    with throw_away() as folder:
        loop = demo_loop(Path(folder), **OPTIONS)
        with_reflexflow = demo_loop(Path(folder), "demo-flow", scheduled_sampling_reflexflow=True, **OPTIONS)
    stream = loop.parts.stream
    plans = [stream.draw(Position(step, 0), 1.0).plan for step in range(DRAWS)]
    together = statistics.mean(plan.longest for plan in plans)
    apart = statistics.mean(int(plan.steps.sum()) for plan in plans)
    figure(f"rollout model calls a step, B={BATCH} K={LONGEST} p=1, mean of {DRAWS} plans", f"{together:.2f}", "≤ 9.5")
    figure("the same, one item at a time", f"{apart:.2f}")
    counted = statistics.mean(_counted(with_reflexflow, step) for step in range(COUNTED))
    figure(f"the same with ReflexFlow, counted in {COUNTED} steps of an empty network", f"{counted:.2f}", "≤ 10.5")
    device = loop.parts.accelerator.device
    batches = [stream.draw(Position(step, 0), 1.0).to(device) for step in range(TIMED)]
    ours, theirs = (sum(_timed(loop.parts, batch, one) for batch in batches) for one in (False, True))
    figure("seconds a rollout, advancing together", f"{ours / TIMED:.3f} s")
    figure("seconds a rollout, one item at a time, same network and plans", f"{theirs / TIMED:.3f} s")
    figure("one at a time / together", f"{theirs / ours:.2f} ×")


def _counted(loop: Loop, step: int) -> int:
    """Calls of a real step beside the one that is trained, of a network that answers with zeros."""
    device = loop.parts.accelerator.device
    calls, weight = [], nn.Parameter(torch.zeros((), device=device))

    def predict(network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        calls.append(len(noisy))
        return weight * noisy

    empty = nn.Identity()
    trainer = Trainer(empty, empty, predict, lambda loss: loss.backward(), nullcontext)
    fresh_step(trainer, loop.parts.stream.draw(Position(step, 0), 1.0).to(device), loop.parts.options)
    return len(calls) - 1


def _timed(parts, batch: Batch, one_at_a_time: bool) -> float:
    options, objective = parts.options, parts.options.objective

    def rolled(clean: Tensor, noise: Tensor, condition: Tensor, plan: RolloutPlan) -> None:
        def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
            return parts.family.predict(parts.network, noisy, timestep, condition[items])

        roll(
            denoiser, clean, noise, plan, schedule=objective.schedule, kind=objective.kind, sampler=options.sampler,
            order=options.order,
        )  # fmt: skip

    began = time.perf_counter()
    with evaluation_mode(parts.network), torch.no_grad():
        if not one_at_a_time:
            rolled(batch.clean, batch.noise, batch.condition, batch.plan)
        else:
            for item in range(len(batch.clean)):
                one = slice(item, item + 1)
                plan = RolloutPlan(
                    source=batch.plan.source[one], target=batch.plan.target[one], steps=batch.plan.steps[one]
                )
                rolled(batch.clean[one], batch.noise[one], batch.condition[one], plan)
    finish(parts.accelerator.device)
    return time.perf_counter() - began
