"""The demo's own parts, built as a training builds them, and a stopwatch."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.config.presets import resolve_config
from core.models.device import accelerator
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.records import StepRecord, records_from
from core.training.build import Parts, build, make_accelerator
from core.training.dry_run import finish
from core.training.loop import Loop
from core.training.report import Report


def demo_loop(folder: Path, preset: str = "demo", **changes: object) -> Loop:
    """A training loop of a demo preset, with no pictures and no probe, in a throw-away run folder."""
    overrides = {
        "validation_prompts": (), "drift_pairs": 0, "with_prior_preservation": False, "max_train_steps": 10_000,
        "checkpointing_steps": 0, **changes,
    }  # fmt: skip
    config = resolve_config(preset, overrides=overrides)
    run = RunFolder.create(folder, "bench", config)
    report = Report(run, None)
    return Loop(run, build(config, folder / "class", report, make_accelerator(config)), report)


def last_record(loop: Loop) -> StepRecord:
    """Of the step that was taken last."""
    return records_from(StepRecord, journal.read_all(loop.folder.metrics_path)[-1:])[0]


def throw_away() -> "tempfile.TemporaryDirectory[str]":
    """A folder for run folders."""
    return tempfile.TemporaryDirectory(prefix="rollout-bench-")


def seconds(work: Callable[[], object], repeats: int, warmup: int = 2) -> float:
    """Median seconds of ``work``."""
    for _ in range(warmup):
        work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        finish(accelerator())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def bare_inputs(parts: Parts, items: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, timesteps and conditions of a batch where it is trained, for calls of the bare network."""
    pictures = parts.stream.buckets[0][0].pictures
    picks = torch.arange(items) % len(pictures)
    latents = pictures.latents[pictures.first[picks]]
    timestep = torch.linspace(0, parts.family.schedule.last, items).round().long()
    device, condition = parts.accelerator.device, pictures.conditions[pictures.prompt[picks]]
    return torch.randn_like(latents).to(device), timestep.to(device), condition.to(device)
