"""What our steps cost beyond the network itself."""

import statistics
from pathlib import Path

import torch

from core.bench import figure
from core.bench.network import bare_inputs, demo_loop, last_record, seconds, throw_away
from core.training.batches import Position
from core.training.loop import Loop

STEPS, WARMUP = 40, 4
ROLLOUT = {
    "scheduled_sampling_max_step_offset": 3, "scheduled_sampling_stride": 50, "scheduled_sampling_probability": 1.0,
    "scheduled_sampling_ramp_steps": 0,
}  # fmt: skip


def measure() -> None:
    """Prints a plain step and one with fresh rollout against the bare network's own passes, on the demo's network."""
    with throw_away() as folder:
        plain_loop = demo_loop(Path(folder), scheduled_sampling_max_step_offset=0)
        rollout_loop = demo_loop(Path(folder), **ROLLOUT)
        size = plain_loop.parts.config.training.train_batch_size
        bare, plain, ratio = _plain_against_bare(plain_loop, size)
        figure(f"bare forward + backward + optimizer, batch {size}", f"{bare * 1e3:.1f} ms")
        figure(f"plain step, batch {size}", f"{plain * 1e3:.1f} ms")
        figure("plain step / bare", f"{ratio:.3f} ×", "≤ 1.10")
        _rollout_against_parts(rollout_loop, plain_loop)


def _plain_against_bare(loop: Loop, size: int) -> tuple[float, float, float]:
    """Interleaved, so that a machine that slows down slows both."""
    noisy, timestep, condition = bare_inputs(loop.parts, size)
    network, optimizer = loop.parts.network, loop.parts.optimizer
    target = torch.randn_like(noisy)

    def bare() -> None:
        prediction = network(noisy, timestep, encoder_hidden_states=condition, return_dict=False)[0]
        (prediction - target).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    pairs = [(seconds(bare, 1, 0), _own_step(loop)) for _ in range(STEPS + WARMUP)][WARMUP:]
    bare_seconds, plain_seconds = (statistics.median(column) for column in zip(*pairs, strict=True))
    return bare_seconds, plain_seconds, statistics.median(plain / own for own, plain in pairs)


def _own_step(loop: Loop) -> float:
    loop.take_step()
    return last_record(loop).seconds


def _rollout_against_parts(rollout_loop: Loop, plain_loop: Loop) -> None:
    """Each step with rollout beside a plain step and the bare forwards of its own calls, so that all drift alike."""
    rows = [_one_row(rollout_loop, plain_loop, step) for step in range(STEPS + WARMUP)][WARMUP:]
    took, plain, extra = (statistics.mean(column) for column in zip(*rows, strict=True))
    figure("step with fresh rollout (K=3, stride 50, p=1), mean", f"{took * 1e3:.1f} ms")
    figure("plain step + its calls' bare forwards at their batch sizes, mean", f"{(plain + extra) * 1e3:.1f} ms")
    ratio = statistics.median(took / (plain + extra) for took, plain, extra in rows)
    figure("step with rollout / the sum of its parts, median of pairs", f"{ratio:.3f} ×", "≤ 1.10")
    figure("step with rollout / plain step", f"{took / plain:.2f} ×")


def _one_row(rollout_loop: Loop, plain_loop: Loop, step: int) -> tuple[float, float, float]:
    """Seconds of a step with rollout, of a plain step, and of the rollout's bare forwards."""
    steps = rollout_loop.parts.stream.draw(Position(step, 0), 1.0).plan.steps
    sizes = [int((steps > taken).sum()) for taken in range(int(steps.max()))]
    took, plain = _own_step(rollout_loop), _own_step(plain_loop)
    inputs = [bare_inputs(rollout_loop.parts, size) for size in sizes]
    network = rollout_loop.parts.network
    with torch.no_grad():
        bare = seconds(lambda: [network(noisy, time, encoder_hidden_states=text) for noisy, time, text in inputs], 1, 0)
    return took, plain, bare
