"""Commands that train, and that forecast or stop a training."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Base, Changes, Run, Source, WorkspaceOption, app, checked_config, find_run, open_workspace
from core.runs.arms import DEFAULT_ARMS, KNOWN_ARMS, describe
from core.runs.scores import DEFAULT_SCORE, SCORES


@app.command()
def train(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="Where the run folder is made.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name; default: the preset's or file's.")] = None,
) -> None:  # fmt: skip
    """Makes a run folder and trains in the foreground."""
    config = checked_config(source, preset, changes, workspace)
    from core.runs.folder import RunFolder

    title = Path(source).stem if name is None else name
    folder = RunFolder.create(open_workspace(workspace).runs_dir if runs_dir is None else runs_dir, title, config)
    print(f"run folder: {folder.path}", flush=True)
    _train(folder, resume=False)


@app.command()
def run(run: Run, workspace: WorkspaceOption = None) -> None:
    """Trains a run folder that is there: what the page launches."""
    _train(find_run(run, workspace), resume=False)


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A run's or an experiment's folder, or its name in the workspace.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Goes on from a run's newest checkpoint, or with the arms of an experiment that are not done."""
    experiment = _find_experiment(run, workspace)
    if experiment is None:
        _train(find_run(run, workspace), resume=True)
    else:
        _drive(experiment)


def _train(folder, *, resume: bool) -> None:
    from core.runs.status import derive_state
    from core.training.run import train as train_run

    train_run(folder, resume=resume)
    state = derive_state(folder)
    print(f"{state.label}: {state.message}" if state.message else state.label)


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
) -> None:  # fmt: skip
    """Trains matched arms, one after the other, in the foreground: once each for every seed."""
    config = checked_config(source, preset, changes, workspace)
    from core.runs.experiment import create_experiment

    title = f"{Path(source).stem}-ab" if name is None else name
    arms = list(arm) if arm else list(DEFAULT_ARMS)
    arms += ["too-long"] if too_long and "too-long" not in arms else []
    experiment = create_experiment(
        open_workspace(workspace), title, config, arms, seeds=seeds, primary=primary
    )  # fmt: skip
    print(f"experiment folder: {experiment.path}")
    print("\n".join(_plan_lines(experiment, config)), flush=True)
    _drive(experiment)


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

    _drive(Experiment(experiment))


def _find_experiment(name: str, workspace: Path | None):
    """The experiment of a folder, or of a name in the workspace; None where it names none."""
    from core.runs.experiment import Experiment, list_experiments

    if Experiment(Path(name)).file_path.is_file():
        return Experiment(Path(name))
    return next((found for found in list_experiments(open_workspace(workspace)) if found.name == name), None)


def _drive(experiment) -> None:
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


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="A run's or an experiment's name in the workspace, or a run's folder.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Asks a run, or all of an experiment, to save and stop, and waits until it has."""
    from core.runs.experiment import advance_experiment_stop, stop_experiment
    from core.runs.process import GRACE_SECONDS, stop_run, wait_for_end

    experiment = _find_experiment(run, workspace)
    if experiment is None:
        folder = find_run(run, workspace)
        state = stop_run(folder)
        if state.live:
            state = wait_for_end(folder, 4 * GRACE_SECONDS)
    else:
        state = stop_experiment(experiment)
        while state.label in ("running", "stopping"):
            time.sleep(0.2)
            state = advance_experiment_stop(experiment)
    print(f"{state.label}: {state.message}")
