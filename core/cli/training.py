"""Commands that train, and that forecast or stop a training."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Base, Changes, Run, Source, WorkspaceOption, app, checked_config, find_run, open_workspace


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
def resume(run: Run, workspace: WorkspaceOption = None) -> None:
    """Goes on from a run's newest checkpoint."""
    _train(find_run(run, workspace), resume=True)


def _train(folder, *, resume: bool) -> None:
    from core.runs.status import derive_state
    from core.training.run import train as train_run

    train_run(folder, resume=resume)
    state = derive_state(folder)
    print(f"{state.label}: {state.message}" if state.message else state.label)


@app.command()
def ab(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    too_long: Annotated[bool, typer.Option("--too-long", help="A third arm that rolls out too far.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The experiment's name.")] = None,
) -> None:  # fmt: skip
    """Trains matched arms, with and without rollout, one after the other, in the foreground."""
    config = checked_config(source, preset, changes, workspace)
    from core.runs.arms import DEFAULT_ARMS
    from core.runs.experiment import create_experiment

    title = f"{Path(source).stem}-ab" if name is None else name
    arms = (*DEFAULT_ARMS, "too-long") if too_long else DEFAULT_ARMS
    experiment = create_experiment(open_workspace(workspace), title, config, arms)
    print(f"experiment folder: {experiment.path}", flush=True)
    _drive(experiment)


@app.command("ab-run", hidden=True)
def ab_run(experiment: Annotated[Path, typer.Argument()]) -> None:
    """Trains the arms of an experiment folder that is there: what the page launches."""
    from core.runs.experiment import Experiment

    _drive(Experiment(experiment))


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
    from core.runs.experiment import advance_experiment_stop, list_experiments, stop_experiment
    from core.runs.process import GRACE_SECONDS, stop_run, wait_for_end

    experiment = next((found for found in list_experiments(open_workspace(workspace)) if found.name == run), None)
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
