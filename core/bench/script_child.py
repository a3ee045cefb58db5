"""One measurement of ``core.bench.script`` in a process of its own: prints its numbers as JSON."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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

STEPS, WARMUP, RATE = 16, 2, 1e-4
PROMPT = "a photo of sks dog"


@dataclass(frozen=True)
class Started:
    """A training that is about to take its first step.

    Attributes:
        step: takes one.
        loaded: bytes that were resident with the models loaded and nothing else done.
        ready: seconds of processor time from there to here.
    """

    step: Callable[[], object]
    loaded: int
    ready: float


class _Marked(Report):
    """Notes what is resident when the base model is loaded, and begins to count there."""

    loaded = 0
    since = 0.0

    def phase(self, phase: Any, message: str = "", *args: Any, **kwargs: Any) -> None:
        if phase == "caching" and self.loaded == 0:
            self.loaded, self.since = reset_peak(), time.process_time()
        super().phase(phase, message, *args, **kwargs)


def ours(base: Path, pictures: Path, side: int, folder: Path, **changes: Any) -> Started:
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
    return Started(loop.take_step, report.loaded, time.process_time() - report.since)


def theirs(base: Path, pictures: Path, side: int, folder: Path) -> Started:
    """The straightforward loop."""
    straight = Straight(base, pictures, prompt=PROMPT, side=side, batch=BATCH, rank=RANK, rate=RATE)
    loaded, since = reset_peak(), time.process_time()
    steps = straight.steps()
    return Started(lambda: next(steps), loaded, time.process_time() - since)


def held(training: Started) -> dict[str, float]:
    """Bytes after some steps, and what came before them."""
    for _ in range(WARMUP):
        training.step()
    return {"peak": peak() - training.loaded, "loaded": training.loaded, "ready": training.ready}


def alternated(first: Started, second: Started) -> dict[str, list[float]]:
    """Seconds of processor time of each step, taken in turns: whatever slows the machine slows neighbours alike."""
    rows = [(_seconds(first.step), _seconds(second.step)) for _ in range(WARMUP + STEPS)][WARMUP:]
    return {"ours": [row[0] for row in rows], "theirs": [row[1] for row in rows]}


def _seconds(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def measure(which: str, *where: Any) -> dict[str, Any]:
    """Memory of ``ours`` or ``theirs`` alone, or the speed of ``both``."""
    if which == "both":
        return alternated(ours(*where), theirs(*where))
    return held({"ours": ours, "theirs": theirs}[which](*where))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rollout-bench-") as scratch:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), Path(scratch))))
