"""What the previews are drawn from: options that have not been trained with yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.config.foreign.ramps import RampThere
from core.config.run import RunConfig
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.rollout.cost import Forecast
from core.rollout.expected import timestep_shares
from core.runs.cost import forecast_of, grid_of
from core.runs.measurement import Measurement

if TYPE_CHECKING:
    from core.rollout.expected import Shares

OFF = "Rollout is off"


@dataclass(frozen=True)
class Preview:
    """The part of a config on which the rollout previews depend.

    Attributes:
        options: The rollout's options.
        max_train_steps: Optimizer steps of the run.
        last: The noisiest timestep.
        flow_matching: Whether items are trained at the timesteps of flow matching, the middle ones more often.
        grid: Timesteps of the validation pictures' sampler; evenly spread ones where they have not been measured.
        level_timestep: Up to where anchored targets are safe; None where that has not been measured.
        cost: The forecast, in seconds where it was measured.
        there: The ramp of the tool that the config came from, as that behaves; None for no such ramp to show.
    """

    options: ScheduledSamplingConfig
    max_train_steps: int
    last: int
    flow_matching: bool
    grid: tuple[float, ...]
    level_timestep: float | None
    cost: Forecast
    there: RampThere | None = None

    @classmethod
    def of(cls, config: RunConfig, measurement: Measurement | None = None) -> Preview:
        """The preview of a whole config, with what was measured for it."""
        facts = None if measurement is None else measurement.facts
        return cls(
            options=config.scheduled_sampling,
            max_train_steps=config.training.max_train_steps,
            last=config.last_timestep if facts is None else facts.last,
            flow_matching=config.flow_matching if facts is None else facts.kind == "flow_matching",
            grid=grid_of(config, facts),
            level_timestep=None if facts is None else facts.level_timestep,
            cost=forecast_of(config, measurement),
        )

    @property
    def shares(self) -> Shares:
        """How often items are trained at each timestep."""
        return timestep_shares(self.last, flow_matching=self.flow_matching)


def latest(series: Mapping[str, Sequence[Preview]]) -> dict[str, Preview]:
    """The newest preview of each label that has one."""
    return {label: previews[-1] for label, previews in series.items() if previews}
