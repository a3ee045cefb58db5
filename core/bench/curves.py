"""How long the curves of a long training take to draw."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.bench import figure
from core.plots import PLOTS
from core.plots.figure import render_svg
from core.plots.registry import Plot
from core.runs.files import to_json
from core.runs.records import StepRecord, read_records

STEPS = 100_000
TIMES = 5


def measure() -> None:
    """Prints records to SVG for the loss and for the slowest plot over steps, and the first reading of the journal."""
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as folder:
        path = Path(folder) / "metrics.jsonl"
        with path.open("w") as file:
            file.writelines(f"{to_json(record.to_dict())}\n" for record in _records())
        began = time.perf_counter()
        records = read_records(StepRecord, path)
        first = time.perf_counter() - began
    seconds = {
        plot.name: _median(lambda plot=plot: _draw(plot, records)) for plot in PLOTS.values() if plot.records == "steps"
    }
    slowest = max(seconds, key=lambda name: seconds[name])
    run = f"a run of {STEPS:,} steps"
    figure(f"loss of {run}, records in memory to SVG, median of {TIMES}", f"{seconds['loss']:.2f} s", "≤ 0.5 s")
    figure(f"the slowest of all plots over steps, {slowest}", f"{seconds[slowest]:.2f} s", "≤ 0.5 s")
    figure(f"first reading of the metrics.jsonl of {run}", f"{first:.2f} s")


def _draw(plot: Plot, records: list[StepRecord]) -> str:
    return render_svg(plot.draw({"rollout": records}), plot.title)


def _median(draw: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        draw()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _records() -> list[StepRecord]:
    """Every optional field set, as in the longest lines that a training writes."""
    noise = np.random.default_rng(0).random(STEPS).tolist()
    return [
        StepRecord(
            step=step, loss=0.3 + math.exp(-step / 20_000) + 0.1 * value, loss_rolled=value, loss_teacher_forced=value,
            lr=1e-4, grad_norm=0.1 + value, probability=0.5, rolled=2, items=4, mean_offset=4 * value, max_offset=3,
            rollout_calls=3, rollout_forwards=5, trained_states=4, rollout_drift=value, rollout_v=-value,
            rollout_g2=value - 0.5, posterior_entropy=value, posterior_nearest=value, reflexflow_direction=1 + value,
            reflexflow_error=0.1 + value, reflexflow_spread=value, seconds=0.2, elapsed=0.2 * step, memory_mb=900.0,
        )
        for step, value in enumerate(noise, start=1)
    ]  # fmt: skip
