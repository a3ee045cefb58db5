"""What is known of a training's cost and of its pictures, in words: measured here, forecast, or not known yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.html import Level, cards, table
from core.config.in_force import notes_of
from core.config.run import RunConfig
from core.errors import WorkbenchError
from core.rollout.cost import Forecast
from core.runs.check import Check
from core.runs.cost import Cost, forecast_of, level_warning, read_cost, read_facts
from core.runs.fits import TITLE, memory_check
from core.runs.folder import RunFolder
from core.runs.measurement import Facts, Measurement, find_measurement
from core.runs.measuring import measuring_state
from core.runs.status import State

Finding = tuple[Level, str]
"""A level and a sentence."""
REFLEXFLOW = "scheduled_sampling_reflexflow"


def cost_finding(root: Path, config: RunConfig) -> Finding:
    """What a step will cost: measured on this machine, being measured, why that failed, or forecast only."""
    state, found = measuring_state(root, config), find_measurement(root, config)
    if state is not None and state.live:
        return "info", "Being measured now, which takes about 10 s."
    if state is not None:
        return "warn", f"It could not be measured: {failure(state)}"
    if found is None:
        return (
            "info",
            f"Not measured yet on this machine; by usual proportions {times(forecast_of(config))} a plain step.",
        )
    cost = forecast_of(config, found)
    both = f"{seconds(cost.seconds_per_step)} a step, {times(cost)} a plain one"
    return "pass", f"Measured here ({found.device}): {both}."


def memory_finding(root: Path, config: RunConfig) -> Check:
    """Whether it fits into the memory of the device that it was measured on."""
    found = find_measurement(root, config)
    check = None if found is None else memory_check(config, found)
    if check is None:
        return Check("info", TITLE, "Not known before a measurement: what a step and the drawing of pictures need.")
    return check


def level_finding(root: Path, config: RunConfig) -> Finding | None:
    """Whether rollouts start where a state still tells the training pictures apart; None without rollout."""
    if not config.scheduled_sampling.enabled:
        return None
    found = find_measurement(root, config)
    if found is None:
        return "info", "Not known before a measurement: up to which timestep anchored targets are safe."
    warning = level_warning(config, found.facts)
    if warning is not None:
        return "warn", warning
    if found.facts.level_timestep is None:
        return "pass", "Fewer than two different pictures share a caption: none can be mixed up."
    safe = f"anchored targets are safe up to timestep {found.facts.level_timestep:.0f}"
    if config.scheduled_sampling.target == "anchored":
        return "pass", f"No rollout starts higher: {safe}."
    return "pass", f"The {config.scheduled_sampling.target} target does not depend on it ({safe})."


def failure(state: State) -> str:
    """Why a measurement failed: the errors that it printed, else everything that is known."""
    told = [line.removeprefix("error: ") for line in state.message.splitlines() if line.startswith("error: ")]
    return "; ".join(told) if told else state.message


def times(cost: Forecast) -> str:
    """The relative length of a step, a range where it was not measured."""
    low, high = cost.relative_step_time, cost.relative_step_time_upper
    return f"{low:.2f} ×" if high - low < 0.005 else f"{low:.2f} to {high:.2f} ×"


def seconds(value: float | None) -> str:
    """A duration of one step."""
    return "unknown" if value is None else f"{value:.2g} s"


def cost_cards(config: RunConfig, measurement: Measurement | None) -> str:
    """Forecast cost of the rollout, means over the training."""
    cost = forecast_of(config, measurement)
    how = "of plain training, forecast"
    if measurement is not None:
        how = f"of plain training: {seconds(cost.seconds_per_step)}, measured here"
    extra = cost.rollout_forwards_per_item
    shown = {
        "Step time": (times(cost), how),
        "Model calls": (f"{cost.rollout_calls_per_step:.1f}", "per step, without gradient, extra"),
        "Forwards": (f"{extra:.2f}", "per item, without gradient, extra"),
    }
    if config.scheduled_sampling.mode == "visited" and config.scheduled_sampling.enabled:
        calls = f"per item, in {cost.trained_calls_per_step:.1f} calls a step"
        shown["States trained"] = (f"{cost.trained_per_item:.2f}", calls)
    return cards(shown)


def assumed(config: RunConfig, measurement: Measurement | None) -> list[str]:
    """What the previews had to assume, because nothing was measured."""
    if measurement is not None or config.scheduled_sampling.stride != "inference":
        return []
    return [
        "The sampler's own grid is read when the cost is measured on the Launch tab; until then an even one is shown."
    ]


def facts_table(folders: Mapping[str, RunFolder]) -> str:
    """What is known of each arm: ReflexFlow, cost predicted and measured, safe level; empty if nothing is."""
    rows = {label: _facts_of(folder) for label, folder in folders.items()}
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not names:
        return ""
    body = [[name, *(row.get(name, "–") for row in rows.values())] for name in names]
    return table(["", *rows], body, "What is in force, what a step was expected to cost, and what it did cost")


def _facts_of(folder: RunFolder) -> dict[str, str]:
    shown = {}
    reflexflow = _reflexflow(folder)
    if reflexflow is not None:
        shown["ReflexFlow"] = reflexflow
    cost, facts = read_cost(folder), read_facts(folder)
    if cost is not None:
        shown |= _cost_rows(cost)
    if facts is not None:
        shown["Anchored targets safe up to"] = _level(facts)
    return shown


def _reflexflow(folder: RunFolder) -> str | None:
    """The sentence about ReflexFlow where it is on."""
    try:
        notes = notes_of(folder.config())
    except WorkbenchError:
        return None
    return next((note.text for note in notes if note.option == REFLEXFLOW), None)


def _cost_rows(cost: Cost) -> dict[str, str]:
    expected, measured = cost.predicted, cost.measured
    values = [expected.get(name, float("nan")) for name in _PREDICTED]
    rows = {"Step, predicted": _SENTENCE.format(*values)}
    if measured is not None:
        relative = float("nan") if measured.relative_step_time is None else measured.relative_step_time
        rows["Step, measured"] = _SENTENCE.format(
            measured.seconds_per_step, relative, measured.calls_per_step, measured.forwards_per_item,
            measured.trained_per_item,
        )  # fmt: skip
    return rows


_PREDICTED = (
    "seconds_per_step", "relative_step_time", "rollout_calls_per_step", "rollout_forwards_per_item", "trained_per_item",
)  # fmt: skip
_SENTENCE = "{:.2g} s, {:.2f} × a plain one; {:.1f} calls, {:.2f} forwards an item, {:.2f} states an item trained"


def _level(facts: Facts) -> str:
    if facts.level_timestep is None or facts.level is None:
        return "no two different pictures share a caption"
    return f"timestep {facts.level_timestep:.0f} (sigma/alpha {facts.level:.2f})"
