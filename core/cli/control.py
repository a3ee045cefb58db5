"""Commands to a training that runs, from another terminal than its own: stop, pause, save, draw."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from core.cli.common import WorkspaceOption, app, find_experiment, find_run
from core.errors import RunError

Training = Annotated[
    str,
    typer.Argument(
        help="A run's or an experiment's name in the workspace, or its folder; of an experiment the arm that trains.",
        metavar="RUN|EXPERIMENT",
    ),
]
POLL_SECONDS = 0.2


@app.command()
def stop(
    training: Training,
    now: Annotated[
        bool, typer.Option("--now", help="End it at once, without saving; its last checkpoint stays.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Asks a run, or all of an experiment, to save and stop, and waits until its process is gone.

    What does not stop in 20 s is interrupted, after 20 s more terminated, and after 20 s more killed.
    """
    from core.runs.experiment import advance_experiment_stop, kill_experiment, stop_experiment
    from core.runs.process import advance_stop, kill_run, stop_run

    experiment = find_experiment(training, workspace)
    if experiment is None:
        folder = find_run(training, workspace)
        state = kill_run(folder) if now else stop_run(folder)
        state = _wait(state, lambda: advance_stop(folder), folder)
    else:
        state = kill_experiment(experiment) if now else stop_experiment(experiment)
        state = _wait(state, lambda: advance_experiment_stop(experiment), experiment.folder)
    print(f"{state.label}: {state.message}")


def _wait(state, advance: Callable, folder):
    """Polls until nothing more will come; says it when a signal was sent."""
    from core.runs.process import stop_progress

    sent = 0
    while state.label in ("running", "paused", "stopping"):
        progress = stop_progress(folder)
        if progress is not None and len(progress.sent) > sent:
            sent = len(progress.sent)
            print(progress.words, flush=True)
        time.sleep(POLL_SECONDS)
        state = advance()
    return state


@app.command()
def pause(training: Training, workspace: WorkspaceOption = None) -> None:
    """Lets a training save and wait, and waits until it does; ``resume`` lets it go on.

    Its process and its memory stay. What is paused survives its process: it is saved.
    """
    from core.runs.requests import pause_run, wait_until_heard

    folder = _in_progress(training, workspace)
    pause_run(folder)
    print(wait_until_heard(folder, "pause"))


@app.command()
def save(training: Training, workspace: WorkspaceOption = None) -> None:
    """Lets a training save a checkpoint after its present step, and waits until it has."""
    from core.runs.requests import request_save, wait_until_heard

    folder = _in_progress(training, workspace)
    request_save(folder)
    print(wait_until_heard(folder, "save"))


@app.command("sample-now")
def sample_now(training: Training, workspace: WorkspaceOption = None) -> None:
    """Lets a training draw its validation pictures after its present step, and waits until it has.

    To draw other prompts with a finished run's adapter: ``sample``.
    """
    from core.runs.requests import request_sample, wait_until_heard

    folder = _in_progress(training, workspace)
    request_sample(folder)
    print(wait_until_heard(folder, "sample"))


def continue_paused(training: str, workspace) -> bool:
    """Lets a paused training go on, for ``resume``; returns whether there was one."""
    from core.runs.requests import continue_run, is_requested
    from core.runs.status import derive_state

    experiment = find_experiment(training, workspace)
    folders = [find_run(training, workspace)] if experiment is None else [arm.run for arm in experiment.arms]
    for folder in folders:
        if derive_state(folder).live and is_requested(folder, "pause"):
            continue_run(folder)
            print(f"{folder.name} goes on")
            return True
    return False


def _in_progress(name: str, workspace):
    """The run that is meant; of an experiment the arm that trains.

    Raises:
        RunError: no arm of the experiment is trained at the moment.
    """
    from core.runs.status import derive_state

    experiment = find_experiment(name, workspace)
    if experiment is None:
        return find_run(name, workspace)
    for arm in experiment.arms:
        if derive_state(arm.run).live:
            return arm.run
    raise RunError(f'experiment must have an arm in training, got "{experiment.name}", of which none is trained now')
