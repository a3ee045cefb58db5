"""What a run's steps were expected to cost and did cost: ``cost.json``; and the facts behind it: ``facts.json``."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.config.run import RunConfig
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.rollout.cost import Calibration, Forecast, forecast
from core.rollout.expected import share_starting_above, timestep_shares
from core.rollout.offsets import even_grid
from core.runs.files import is_number, read_object, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.measurement import Facts, Measurement, calibration_from
from core.runs.records import StepRecord, read_records

COST_FILE = "cost.json"
FACTS_FILE = "facts.json"
WARM_UP = 3
"""First steps that are left out of what was measured, where there are others."""


@dataclass(frozen=True)
class Measured:
    """What the steps of a run did cost, means over all steps after the first few.

    Attributes:
        steps: How many.
        calls_per_step: Model calls without gradient.
        forwards_per_item: Items in them, per item of the batch.
        trained_per_item: States trained on, per item of the batch.
        seconds_per_step: The mean, which a forecast expects: lengths are drawn, and a ramp makes steps longer.
        median_seconds: The median, which a pause of the machine does not move.
        relative_step_time: The mean against the dry run's plain step; None without a dry run.
    """

    steps: int
    calls_per_step: float
    forwards_per_item: float
    trained_per_item: float
    seconds_per_step: float
    median_seconds: float
    relative_step_time: float | None


@dataclass(frozen=True)
class Cost:
    """What ``cost.json`` holds.

    Attributes:
        predicted: The numbers of the forecast, by their names in `core.rollout.cost.Forecast`.
        calibration: The dry run that it was predicted from.
        measured: None before the run's end.
    """

    predicted: Mapping[str, float]
    calibration: Calibration
    measured: Measured | None


def items_per_micro_step(config: RunConfig) -> int:
    """Items that advance together on one process: prior preservation adds as many class items."""
    return config.training.train_batch_size * (2 if config.data.with_prior_preservation else 1)


def reflexflow_in_force(config: RunConfig, facts: Facts | None) -> bool:
    """Whether ReflexFlow is on; the loaded base model, where it is known, decides what is unset."""
    setting = config.scheduled_sampling.reflexflow
    if facts is None or setting is not None:
        return config.reflexflow_on
    return config.scheduled_sampling.enabled and facts.kind == "flow_matching"


def grid_of(config: RunConfig, facts: Facts | None) -> tuple[float, ...]:
    """The inference grid: the sampler's own where it is known, else an even one of as many points."""
    if facts is not None:
        return facts.grid
    return tuple(even_grid(config.last_timestep, config.validation.validation_num_inference_steps).tolist())


def forecast_of(config: RunConfig, measurement: Measurement | None = None) -> Forecast:
    """The forecast for a whole config, in seconds where a training like it was measured."""
    facts = None if measurement is None else measurement.facts
    return forecast(
        _options_in_force(config), items_per_micro_step(config), config.training.max_train_steps,
        last=config.last_timestep if facts is None else facts.last,
        micro_steps=config.training.gradient_accumulation_steps, reflexflow=reflexflow_in_force(config, facts),
        grid=grid_of(config, facts), shares=_shares(config, facts),
        calibration=None if measurement is None else measurement.calibration,
        train_share=4.0 if config.training.gradient_checkpointing else 3.0,
    )  # fmt: skip


def _options_in_force(config: RunConfig) -> ScheduledSamplingConfig:
    """A placebo plans its rollouts and makes none; what ReflexFlow would still ask for is left out."""
    placebo = config.training.placebo_of is not None
    return config.scheduled_sampling.model_copy(update={"max_step_offset": 0} if placebo else {})


def share_above_level(config: RunConfig, facts: Facts) -> float | None:
    """Share of rolled items, 0..1, that start above the level up to which anchored targets are safe.

    None where that is no question: nothing is rolled, another target, or no two pictures to mix up.
    """
    rollout = config.scheduled_sampling
    if not rollout.enabled or rollout.target != "anchored" or facts.level_timestep is None:
        return None
    return share_starting_above(rollout, facts.last, facts.level_timestep, facts.grid, _shares(config, facts))


def level_warning(config: RunConfig, facts: Facts) -> str | None:
    """One sentence where anchored rollouts start above the level; None where they do not, or nothing is known."""
    share = share_above_level(config, facts)
    if share is None or share == 0 or facts.level is None:
        return None
    percent = "under 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")
    return (
        f"{percent} of the rolled items start above timestep {facts.level_timestep:.0f} "
        f"(sigma/alpha {facts.level:.2f}), "
        "where a state no longer tells the training pictures apart: their anchored targets teach a mean of several, "
        "which smooths; lower max_step_offset or stride, or take target = posterior."
    )


def write_predicted(folder: RunFolder, measurement: Measurement) -> None:
    """Writes what the run's steps are expected to cost, and the facts behind it, before the first step.

    Raises:
        WorkbenchError: If the config cannot be read, or the files cannot be written.
    """
    config = folder.config()
    predicted = {**asdict(forecast_of(config, measurement)), "calibration": asdict(measurement.calibration)}
    facts = {**asdict(measurement.facts), "start_above_level": share_above_level(config, measurement.facts)}
    write_whole(folder.path / COST_FILE, to_json({"predicted": predicted}, indent=2))
    write_whole(folder.path / FACTS_FILE, to_json(facts, indent=2))


def write_measured(folder: RunFolder) -> None:
    """Adds what the steps did cost; does nothing to a run for which nothing was predicted, or which took no step.

    Raises:
        RunError: If it cannot be written.
    """
    data, known = read_object(folder.path / COST_FILE), read_cost(folder)
    records = read_records(StepRecord, folder.metrics_path)
    if data is None or known is None or not records:
        return
    plain = known.predicted.get("plain_seconds_per_step", math.nan)
    measured = measure_records(records, plain)
    write_whole(folder.path / COST_FILE, to_json({**data, "measured": asdict(measured)}, indent=2))


def measure_records(records: Sequence[StepRecord], plain_seconds: float) -> Measured:
    """What steps did cost.

    Args:
        records: At least one.
        plain_seconds: Of a step without rollout; NaN where it is not known.
    """
    shown = records[WARM_UP:] if len(records) > WARM_UP else records
    items = max(sum(record.items for record in shown), 1)
    seconds = [record.seconds for record in shown if math.isfinite(record.seconds)]
    mean = statistics.fmean(seconds) if seconds else math.nan
    return Measured(
        steps=len(shown),
        calls_per_step=statistics.fmean(record.rollout_calls for record in shown),
        forwards_per_item=sum(record.rollout_forwards for record in shown) / items,
        trained_per_item=sum(record.trained_states for record in shown) / items,
        seconds_per_step=mean,
        median_seconds=statistics.median(seconds) if seconds else math.nan,
        relative_step_time=mean / plain_seconds if plain_seconds > 0 else None,
    )


def read_cost(folder: RunFolder) -> Cost | None:
    """What is known of a run's cost; None for a run without rollout, an older one, or a file that cannot be read."""
    data = read_object(folder.path / COST_FILE)
    predicted = None if data is None else data.get("predicted")
    if data is None or not isinstance(predicted, dict) or not isinstance(predicted.get("calibration"), dict):
        return None
    numbers = {name: float(value) for name, value in predicted.items() if is_number(value)}
    try:
        return Cost(numbers, calibration_from(predicted["calibration"]), _measured(data.get("measured")))
    except ValueError:
        return None


def read_facts(folder: RunFolder) -> Facts | None:
    """The facts behind a run; None where there are none, or they cannot be read."""
    data = read_object(folder.path / FACTS_FILE)
    try:
        return None if data is None else Facts.from_dict(data)
    except ValueError:
        return None


def _measured(data: Any) -> Measured | None:
    if not isinstance(data, dict):
        return None
    names = ("calls_per_step", "forwards_per_item", "trained_per_item", "seconds_per_step", "median_seconds")
    numbers = {name: float(data[name]) if is_number(data.get(name)) else math.nan for name in names}
    relative, steps = data.get("relative_step_time"), data.get("steps")
    return Measured(
        steps=int(steps) if is_number(steps) else 0,
        relative_step_time=float(relative) if is_number(relative) else None,
        **numbers,
    )


def _shares(config: RunConfig, facts: Facts | None) -> Any:
    flow_matching = config.flow_matching if facts is None else facts.kind == "flow_matching"
    return timestep_shares(config.last_timestep if facts is None else facts.last, flow_matching=flow_matching)
