"""What the metrics at a checkpoint take, beside the training between two checkpoints."""

from pathlib import Path
from typing import Any

from core.bench import figure
from core.bench.network import demo_loop, seconds, throw_away
from core.config.presets import load_preset
from core.noise.denoiser import evaluation_mode
from core.training.probe import probe

STEPS, PROBES = 20, 5
LIMIT = 0.15


def measure() -> None:
    """Prints the demo's, for the arm whose steps are the shortest, and for rollout."""
    validation = load_preset("demo").config.validation
    every = validation.validation_steps
    changes: dict[str, Any] = {
        "with_prior_preservation": True, "drift_pairs": validation.drift_pairs,
        "drift_samples": validation.drift_samples,
    }  # fmt: skip
    for label, arm in (("teacher forcing", {"scheduled_sampling_max_step_offset": 0}), ("rollout", {})):
        with throw_away() as folder:
            loop = demo_loop(Path(folder), **(changes | arm))
            step = seconds(loop.take_step, STEPS)
            with evaluation_mode(loop.parts.family.network):
                metrics = seconds(lambda loop=loop: probe(loop.parts, lambda: None), PROBES, warmup=1)
        between = every * step
        what = f"{validation.drift_pairs} pairs, {validation.drift_samples} samples"
        figure(f"demo, {label}: metrics at a checkpoint ({what})", f"{metrics:.2f} s")
        figure(f"demo, {label}: {every} steps, from one checkpoint to the next", f"{between:.1f} s")
        figure(f"demo, {label}: metrics / time between checkpoints", f"{metrics / between:.1%}", f"≤ {LIMIT:.0%}")
