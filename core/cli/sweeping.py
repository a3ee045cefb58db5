"""``python -m core sweep``: a training for each combination of option values, under a cost cap."""

from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import (
    Base,
    Changes,
    Source,
    WorkspaceOption,
    app,
    checked_config,
    imported_with,
    open_workspace,
)
from core.cli.queueing import put
from core.cli.training import Queue, drive
from core.config.flat import difference
from core.runs.scores import DEFAULT_SCORE, SCORES


@app.command()
def sweep(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    over: Annotated[
        list[str] | None, typer.Option("--over", help="An option and its values; repeated, all combinations.",
                                       metavar="KEY=VALUE,VALUE"),
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", help="File of more combinations, a line each: KEY=VALUE KEY=VALUE.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Cap on the forecast time of all trainings together.")
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Take the cheapest that fit the cap, where not all do.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", help="Training seeds, from the config's own upwards.")] = 1,
    primary: Annotated[
        str, typer.Option("--primary", help=f"The score that ranks the arms: {', '.join(SCORES)}.", metavar="SCORE")
    ] = DEFAULT_SCORE,
    name: Annotated[str | None, typer.Option("--name", help="The experiment's name.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would train and cost, and train nothing.")] = False,
    queue: Queue = False,
) -> None:  # fmt: skip
    """Trains every combination of option values and the teacher-forced reference, as one experiment.

    All combinations are checked, and their forecast cost is said, before anything starts. With a cap, what was never
    measured on this machine is measured first, without training.
    """
    config = checked_config(source, preset, changes, workspace)
    from core.runs.experiment import create_experiment
    from core.runs.sweep import costed, read_grid, read_list_file, sweep_arms, within_cap

    space = open_workspace(workspace)
    combinations = [*read_grid(over or ()), *([] if listed is None else read_list_file(listed))]
    arms = sweep_arms(config, combinations)
    if max_minutes is not None:
        _measure(space, arms)
    known = costed(space.root, arms)
    print("\n".join(_lines(config, known, seeds)), flush=True)
    kept = within_cap(known, seeds, max_minutes, fit=fit)
    if len(kept) < len(known):
        print(f"within {max_minutes:g} min: {', '.join(arm.arm.arm for arm in kept)}", flush=True)
    if plan:
        return
    title = f"{Path(source).stem}-sweep" if name is None else name
    experiment = create_experiment(
        space, title, config, [arm.arm for arm in kept], seeds=seeds, primary=primary, any_option=True,
        imported=imported_with(source),
    )  # fmt: skip
    print(f"experiment folder: {experiment.path}", flush=True)
    if queue:
        put(space, f"experiments/{experiment.name}")
    else:
        drive(experiment)


def _measure(space, arms) -> None:
    """Measures each kind of training that was never measured here; arms that differ in rollout alone are one kind."""
    from core.runs.measurement import find_measurement, measurement_key

    missing = {measurement_key(arm.config): arm for arm in arms if find_measurement(space.root, arm.config) is None}
    if not missing:
        return
    from core.runs.measuring import measure_apart

    for place, arm in enumerate(missing.values(), 1):
        print(f"measuring {place} of {len(missing)}: {arm.arm}", flush=True)
        measure_apart(space.root, arm.config)


def _lines(config, known, seeds: int) -> list[str]:
    """Each arm with what it changes and takes, then all of it."""
    from core.runs.sweep import total_seconds

    lines = []
    for each in known:
        took = "not measured" if each.seconds is None else f"{each.seconds / 60:.1f} min"
        pairs = difference(config, each.arm.config).items()
        changed = ", ".join(f"{name} = {'unset' if own is None else own}" for name, (_, own) in pairs)
        lines.append(f"  {each.arm.arm}: {took}: {changed or 'as configured'}")
    total, count = total_seconds(known, seeds), len(known) * seeds
    words = f"{count} trainings: {len(known)} arms" + (f" at each of {seeds} seeds" if seeds > 1 else "")
    if total is None:
        return [*lines, f"{words}; how long they take is known after `forecast`, or with a cap"]
    return [*lines, f"{words}: about {total / 60:.1f} min in all, without loading and samples"]
