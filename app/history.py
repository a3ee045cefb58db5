"""What earlier trainings of the workspace tell about the next one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from app.journals import Journals
from core.config.run import RunConfig
from core.errors import WorkbenchError
from core.runs.folder import RunFolder


def plain_step_seconds(runs: Iterable[RunFolder], journals: Journals, config: RunConfig) -> float | None:
    """Median seconds of a step without rollout, from the latest training that is alike in what decides it.

    Args:
        runs: Newest first.
        journals: Of the page.
        config: Of the next training.
    """
    for run in runs:
        try:
            other = run.config()
        except WorkbenchError:
            continue
        if other.scheduled_sampling.enabled or workload(other) != workload(config):
            continue
        steps = [record.seconds for record in journals.steps(run.metrics_path)]
        known = [seconds for seconds in steps if math.isfinite(seconds)]
        if known:
            return statistics.median(known)
    return None


def workload(config: RunConfig) -> tuple[object, ...]:
    """The options that decide how long a plain step takes."""
    training = config.training
    return (
        config.model.pretrained_model_name_or_path,
        config.data.resolution,
        config.data.with_prior_preservation,
        training.train_batch_size,
        training.gradient_accumulation_steps,
        training.gradient_checkpointing,
        training.mixed_precision,
        config.lora,
    )
