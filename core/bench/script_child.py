"""One measurement of ``core.bench.script`` in a process of its own: prints its numbers as JSON."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.bench.resident import peak, reset_peak
from core.bench.script import BATCH, RANK
from core.bench.straight import Straight
from core.config.flat import parse_config
from core.runs.folder import RunFolder
from core.training.build import build, make_accelerator
from core.training.loop import Loop
from core.training.report import Report

STEPS, WARMUP, RATE = 8, 2, 1e-4
PROMPT = "a photo of sks dog"


class _Marked(Report):
    """Notes what is resident when the base model is loaded, and begins to count there."""

    loaded = 0
    since = 0.0

    def phase(self, phase: Any, message: str = "", *args: Any, **kwargs: Any) -> None:
        if phase == "caching" and self.loaded == 0:
            self.loaded, self.since = reset_peak(), time.process_time()
        super().phase(phase, message, *args, **kwargs)


def ours(base: Path, pictures: Path, side: int, folder: Path, **changes: Any) -> dict[str, float]:
    """The workbench's loop without rollout, caching included in the peak and told apart in seconds."""
    values = {
        "pretrained_model_name_or_path": str(base), "instance_data_dir": str(pictures), "instance_prompt": PROMPT,
        "resolution": side, "train_batch_size": BATCH, "learning_rate": RATE, "rank": RANK, "lora_alpha": float(RANK),
        "max_train_steps": 10_000, "checkpointing_steps": 0, "drift_pairs": 0, "drift_samples": 0, **changes,
    }  # fmt: skip
    config = parse_config(values)
    run = RunFolder.create(folder, "bench", config)
    report = _Marked(run, None)
    parts = build(config, folder / "class", report, make_accelerator(config))
    loop = Loop(run, parts, report)
    return _timed(loop.take_step, report.loaded, report.since)


def theirs(base: Path, pictures: Path, side: int, folder: Path) -> dict[str, float]:
    """The straightforward loop."""
    straight = Straight(base, pictures, prompt=PROMPT, side=side, batch=BATCH, rank=RANK, rate=RATE)
    loaded, since = reset_peak(), time.process_time()
    steps = straight.steps()
    return _timed(lambda: next(steps), loaded, since)


def _timed(step: Callable[[], object], loaded: int, since: float) -> dict[str, float]:
    """Median seconds of processor time, which is that of all threads; bytes; and the seconds since ``since``."""
    times, ready = [], time.process_time() - since
    for _ in range(WARMUP + STEPS):
        began = time.process_time()
        step()
        times.append(time.process_time() - began)
    return {"step": statistics.median(times[WARMUP:]), "peak": peak() - loaded, "loaded": loaded, "ready": ready}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as scratch:
        which = {"ours": ours, "theirs": theirs}[sys.argv[1]]
        print(json.dumps(which(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), Path(scratch))))
