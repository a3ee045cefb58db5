"""What the previews are drawn from: options that have not been trained with yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.config.run import RunConfig
from core.config.scheduled_sampling import ScheduledSamplingConfig

OFF = "Rollout is off"


@dataclass(frozen=True)
class Preview:
    """The part of a config on which the rollout previews depend.

    Attributes:
        options: The rollout's options.
        batch_size: Items that advance together.
        max_train_steps: Optimizer steps of the run.
        last: The noisiest timestep.
        inference_steps: Sampling steps of the validation pictures.
    """

    options: ScheduledSamplingConfig
    batch_size: int
    max_train_steps: int
    last: int
    inference_steps: int

    @classmethod
    def of(cls, config: RunConfig) -> Preview:
        """The preview of a whole config; prior preservation doubles the items of a step."""
        doubled = 2 if config.data.with_prior_preservation else 1
        return cls(
            options=config.scheduled_sampling,
            batch_size=config.training.train_batch_size * doubled,
            max_train_steps=config.training.max_train_steps,
            last=config.last_timestep,
            inference_steps=config.validation.validation_num_inference_steps,
        )


def latest(series: Mapping[str, Sequence[Preview]]) -> dict[str, Preview]:
    """The newest preview of each label that has one."""
    return {label: previews[-1] for label, previews in series.items() if previews}
