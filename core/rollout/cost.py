"""What rollouts will cost, before anything runs. No torch: the page shows it while options change."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.rollout.offsets import Numbers, cut_distribution, expected_longest
from core.rollout.ramp import probability_at
from core.rollout.samplers import SAMPLERS

SAMPLED_STEPS = 1000
"""A longer training is forecast from this many of its optimizer steps, evenly spread."""


@dataclass(frozen=True)
class Forecast:
    """Expected cost of rollouts, as means over all optimizer steps of a training, so that the ramp counts.

    Attributes:
        mean_probability: chance per item to be picked, 0..1.
        rollout_calls_per_step: model calls in rollouts per batch: the longest rollout times the sampler's calls per
            step.
        rollout_forwards_per_item: forwards in rollouts per item; a guided rollout makes two where a plain one makes
            one.
        rollout_forwards_per_step: the same per batch.
        forwards_total: forwards in rollouts over the whole training.
        calls_total: model calls in rollouts over the whole training.
        relative_step_time: length of a step, 1 = without rollout, if a call's time is proportional to its items.
        relative_step_time_upper: the same if a call with few items takes as long as one with the whole batch.
    """

    mean_probability: float
    rollout_calls_per_step: float
    rollout_forwards_per_item: float
    rollout_forwards_per_step: float
    forwards_total: float
    calls_total: float
    relative_step_time: float
    relative_step_time_upper: float


def forecast(
    options: Any,
    batch_size: int,
    max_train_steps: int,
    *,
    last: int,
    forward_share: float = 1 / 3,
    calls_per_rollout_step: int | None = None,
    grid: Numbers | None = None,
) -> Forecast:
    """Forecasts the cost of rollouts.

    Args:
        options: the scheduled sampling options.
        batch_size: items that advance together.
        max_train_steps: optimizer steps of the training, 0 or more.
        last: the noisiest timestep.
        forward_share: a forward without gradient relative to a plain training step's forward and backward, per
            item: 1/3, or 1/4 with gradient checkpointing.
        calls_per_rollout_step: calls of the sampler per rollout step; None: as the registry says for `options.sampler`.
        grid: the inference grid for stride "inference"; None: an even one (see `core.rollout.offsets`).
    """
    calls = SAMPLERS[options.sampler].calls_per_step if calls_per_rollout_step is None else calls_per_rollout_step
    forwards = calls * (2 if options.guidance_scale > 1 else 1)
    probability = np.array([probability_at(step, options) for step in _sampled(max_train_steps)])
    mean_probability = float(probability.mean()) if len(probability) > 0 else 0.0
    share = cut_distribution(options, last, grid)
    longest = expected_longest(share, batch_size, probability)
    calls_per_step = calls * float(longest.mean()) if len(probability) > 0 else 0.0
    per_item = forwards * mean_probability * float(share @ np.arange(len(share)))
    return Forecast(
        mean_probability=mean_probability,
        rollout_calls_per_step=calls_per_step,
        rollout_forwards_per_item=per_item,
        rollout_forwards_per_step=per_item * batch_size,
        forwards_total=per_item * batch_size * max_train_steps,
        calls_total=calls_per_step * max_train_steps,
        relative_step_time=1 + per_item * forward_share,
        relative_step_time_upper=1 + calls_per_step * (forwards / calls) * forward_share,
    )


def _sampled(max_train_steps: int) -> list[int]:
    """Optimizer steps, all of a short training, at the middles of equal parts of a long one."""
    count = min(max_train_steps, SAMPLED_STEPS)
    return ((np.arange(count) + 0.5) * (max_train_steps / max(count, 1))).astype(int).tolist()
