"""Commands that train, and that forecast or stop a training."""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import (
    Base,
    Changes,
    Run,
    Source,
    WorkspaceOption,
    app,
    checked_config,
    find_experiment,
    find_run,
    imported_with,
    open_workspace,
)
from core.cli.control import continue_paused
from core.cli.queueing import put
from core.errors import ConfigError, Problem
from core.runs.arms import DEFAULT_ARMS, KNOWN_ARMS, describe
from core.runs.fits import memory_check
from core.runs.measurement import find_measurement
from core.runs.scores import DEFAULT_SCORE, SCORES

Queue = Annotated[bool, typer.Option("--queue", help="Freeze it and let it wait for its turn; see `queue`.")]


@app.command()
def train(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="Where the run folder is made.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name; default: the preset's or file's.")] = None,
    queue: Queue = False,
) -> None:  # fmt: skip
    """Makes a run folder and trains in the foreground, or queues it."""
    if queue and runs_dir is not None:
        raise ConfigError([Problem("--runs-dir", f"--runs-dir must be left out with --queue, got {runs_dir}")])
    config = checked_config(source, preset, changes, workspace)
    from core.runs.folder import RunFolder

    title = Path(source).stem if name is None else name
    place = open_workspace(workspace).runs_dir if runs_dir is None else runs_dir
    folder = RunFolder.create(place, title, config, imported=imported_with(source))
    print(f"run folder: {folder.path}", flush=True)
    _warn_of_memory(config, workspace)
    if queue:
        put(open_workspace(workspace), f"runs/{folder.name}")
    else:
        _train(folder, resume=False)


def _warn_of_memory(config, workspace) -> None:
    """Where such a training was measured here (``core forecast``, or the page) and may not fit."""
    found = find_measurement(open_workspace(workspace).root, config)
    check = None if found is None else memory_check(config, found)
    if check is not None and check.level == "warn":
        print(f"warning: {check.text}", flush=True)


@app.command()
def run(run: Run, workspace: WorkspaceOption = None) -> None:
    """Trains a run folder that is there: what the page launches."""
    _train(find_run(run, workspace), resume=False)


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A run's or an experiment's folder, or its name in the workspace.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Lets a paused training go on; else goes on from a run's newest checkpoint, or with an experiment's other arms."""
    if continue_paused(run, workspace):
        return
    experiment = find_experiment(run, workspace)
    if experiment is None:
        _train(find_run(run, workspace), resume=True)
    else:
        drive(experiment)


def _train(folder, *, resume: bool) -> None:
    from core.runs.processes import launch_instead
    from core.runs.status import derive_state

    launch_instead(folder, "resume" if resume else "run")
    from core.training.run import train as train_run

    def say() -> None:
        state = derive_state(folder)
        print(f"{state.label}: {state.message}" if state.message else state.label)

    try:
        train_run(folder, resume=resume)
    except KeyboardInterrupt:
        say()
        raise
    say()


ARM_HELP = "An arm, may be repeated; default teacher-forced and rollout. " + " ".join(
    f"{name}: {known.help}" for name, known in KNOWN_ARMS.items()
)


@app.command()
def ab(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help=ARM_HELP, metavar="NAME")] = None,
    too_long: Annotated[bool, typer.Option("--too-long", help="One more arm, which rolls out too far.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", help="Training seeds, from the config's own upwards.")] = 1,
    primary: Annotated[
        str, typer.Option("--primary", help=f"The score that gives the verdict: {', '.join(SCORES)}.", metavar="SCORE")
    ] = DEFAULT_SCORE,
    name: Annotated[str | None, typer.Option("--name", help="The experiment's name.")] = None,
    queue: Queue = False,
) -> None:  # fmt: skip
    """Trains matched arms, one after the other, in the foreground or from the queue: once each for every seed."""
    config = checked_config(source, preset, changes, workspace)
    from core.runs.experiment import create_experiment

    title = f"{Path(source).stem}-ab" if name is None else name
    arms = list(arm) if arm else list(DEFAULT_ARMS)
    arms += ["too-long"] if too_long and "too-long" not in arms else []
    experiment = create_experiment(
        open_workspace(workspace), title, config, arms, seeds=seeds, primary=primary, imported=imported_with(source)
    )  # fmt: skip
    print(f"experiment folder: {experiment.path}")
    print("\n".join(_plan_lines(experiment, config)), flush=True)
    _warn_of_memory(config, workspace)
    if queue:
        put(open_workspace(workspace), f"experiments/{experiment.name}")
    else:
        drive(experiment)


def _plan_lines(experiment, config) -> list[str]:
    """What the arms of the first seed change, and how often all of it is trained."""
    seeds = experiment.seeds
    first = [row for row in experiment.arms if row.seed == seeds[0]]
    count = len(experiment.arms)
    total = f"{count} trainings: {len(first)} arms" + (f" at each of {len(seeds)} seeds" if len(seeds) > 1 else "")
    lines = [f"{total}; the verdict is on {experiment.primary}"]
    for row in first:
        changes = describe(config, row.run.config())
        lines += [f"  {row.arm}: {', '.join(changes) if changes else 'as configured'}"]
    return lines


@app.command("ab-run", hidden=True)
def ab_run(experiment: Annotated[Path, typer.Argument()]) -> None:
    """Trains the arms of an experiment folder that is there: what the page launches."""
    from core.runs.experiment import Experiment

    drive(Experiment(experiment))


def drive(experiment) -> None:
    """Trains what is left of an experiment and says how it ended."""
    from core.runs.experiment import run_experiment

    state = run_experiment(experiment, say=lambda line: print(line, flush=True))
    print(f"{state.label}: {state.message}")
    if state.label == "failed":
        raise typer.Exit(1)


@app.command()
def forecast(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:  # fmt: skip
    """Measures what a training would cost on this machine, without training; the page shows it afterwards."""
    config = checked_config(source, preset, changes, workspace)
    from core.training import forecasting

    found = forecasting.measure_here(config, open_workspace(workspace))
    if as_json:
        print(json.dumps(forecasting.as_json(config, found)))
    else:
        print("\n".join(forecasting.as_lines(config, found)))
