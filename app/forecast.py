"""What a comparison takes before it begins: minutes, steps and states of each arm, and in what the arms differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.design import Design
from app.form import heading, to_input
from app.history import plain_step_seconds, workload
from app.html import cards, empty, table
from app.measured import times
from app.sweeping import sweep_table
from app.view import duration
from app.workbench import Workbench
from core.config.flat import difference
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.errors import WorkbenchError
from core.runs.arms import arm_of
from core.runs.cost import forecast_of

SINGLE = "this run"


def configs_of(root: Path, config: RunConfig, design: Design) -> dict[str, RunConfig]:
    """The config of each arm that this config can have; the config itself for a single run."""
    if design.sweep is not None:
        try:
            kept = design.sweep.kept(root, config, design.seeds)
        except WorkbenchError:
            return {}
        return {each.arm.arm: each.arm.config for each in kept}
    if not design.is_ab:
        return {SINGLE: config}
    made = {}
    for name in design.all_arms:
        try:
            made[name] = arm_of(name, config).config
        except WorkbenchError:
            continue
    return made


def seconds_of(workbench: Workbench, config: RunConfig, arms: Mapping[str, RunConfig]) -> dict[str, float | None]:
    """Seconds that one training of each arm takes; None where neither it nor one like it was measured here."""
    measurement = workbench.measurement(config)
    plain = None
    if measurement is None:
        plain = plain_step_seconds(workbench.runs(), workbench.journals, config)
    taken = {}
    for name, own in arms.items():
        same = workload(own) == workload(config)  # a sweep may be over what decides how long a plain step takes
        cost = forecast_of(own, measurement if same else workbench.measurement(own))
        step = plain * cost.relative_step_time if plain is not None and same else cost.seconds_per_step
        taken[name] = None if step is None else step * own.training.max_train_steps
    return taken


def forecast_cards(workbench: Workbench, config: RunConfig, design: Design) -> str:
    """What one training of each arm takes: steps times the length of a step, in minutes where that is known."""
    if design.sweep is not None:
        return empty("Each arm with its minutes is in the table below.")
    arms = configs_of(workbench.workspace.root, config, design)
    measurement, taken = workbench.measurement(config), seconds_of(workbench, config, arms)
    shown = {}
    for name, own in arms.items():
        cost, steps, seconds = forecast_of(own, measurement), own.training.max_train_steps, taken[name]
        work = f"{steps} steps, each {times(cost)} a plain one"
        if cost.rollout_forwards_per_item > 0:
            work += f"; rollout: {cost.rollout_forwards_per_item:.2f} forwards an item"
        if cost.trained_per_item > 1:
            work += f", {cost.trained_per_item:.2f} states trained"
        if seconds is None:
            shown[name] = (f"{steps} × {times(cost)}", f"{work}. Minutes are known after a measurement.")
        else:
            shown[name] = (f"about {duration(seconds)}", f"{work}. Without loading and samples.")
    return cards(shown)


def total_text(workbench: Workbench, config: RunConfig, design: Design) -> str:
    """How many trainings there are and how long all of them take, a sentence or two."""
    made = configs_of(workbench.workspace.root, config, design)
    count = design.trainings if design.sweep is None else len(made) * design.seeds
    if design.is_experiment:
        names = count // design.seeds
        seeds = "1 training seed" if design.seeds == 1 else f"{design.seeds} training seeds"
        words = f"{names} arms × {seeds}: {count} trainings, one after another"
    else:
        words = "1 training"
    taken = list(seconds_of(workbench, config, made).values())
    known = [seconds for seconds in taken if seconds is not None]
    if not known or len(known) < len(taken):
        return f"{words}. How long they take is known after a measurement."
    return f"{words}, about {duration(sum(known) * design.seeds)} in all, without loading and samples."


def arms_table(workbench: Workbench, config: RunConfig, design: Design) -> str:
    """Options in which the arms differ; everything else is the same, seeds and noises included."""
    if design.sweep is not None:
        return sweep_table(design.sweep, workbench.workspace.root, config, design.seeds)
    if not design.is_ab:
        return empty("A single run has no second arm to differ from.")
    specs, made = option_specs(), configs_of(workbench.workspace.root, config, design)
    first = next(iter(made.values()))
    names = list(dict.fromkeys(name for own in made.values() for name in difference(first, own)))
    if not names:
        return empty("The arms do not differ: rollout is off in both. Raise K on the Configure tab.")
    rows = []
    for name in names:
        spec = specs[name]
        values = [getattr(getattr(own, spec.block), spec.field) for own in made.values()]
        rows.append([heading(spec), *(str(to_input(spec, value)) for value in values)])
    return table(
        ["Setting", *made],
        rows,
        "Everything else is the same in all arms of a seed: pictures, noises, timesteps, prompts and seeds",
    )
