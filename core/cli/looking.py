"""Commands that look at what was trained."""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Run, WorkspaceOption, app, find_experiment, find_run, open_workspace


@app.command()
def sample(
    run: Run,
    prompt: Annotated[list[str], typer.Option("--prompt", help="What to draw; may be repeated.")],
    seed: Annotated[int, typer.Option(help="Seed of the first picture.")] = 42,
    count: Annotated[int, typer.Option(min=1, max=64, help="Pictures per prompt.")] = 4,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; default: RUN/drawn.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Draws pictures with a finished run's adapter."""
    from core.samples.from_run import draw

    folder = find_run(run, workspace)
    for path in draw(
        folder, prompt, [seed + index for index in range(count)], folder.path / "drawn" if out is None else out
    ):
        print(path)


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(help="A run or an experiment; default: all of the workspace.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Says what runs are doing, as far as it can be believed."""
    from core.runs.experiment import list_experiments
    from core.runs.status import derive_state

    space = open_workspace(workspace)
    if run is not None:
        experiment = find_experiment(run, workspace)
        folders = [find_run(run, workspace)] if experiment is None else [arm.run for arm in experiment.arms]
    else:
        folders = space.runs() + [arm.run for experiment in list_experiments(space) for arm in experiment.arms]
    for folder in folders:
        state = derive_state(folder)
        name = space.identifier(folder)
        if as_json:
            facts = {"run": name, "path": str(folder.path), "label": state.label, "phase": state.status.phase}
            print(
                json.dumps({**facts, "step": state.status.step, "total": state.status.total, "message": state.message})
            )
        else:
            print(f"{name:40} {state.label:9} {state.status.step}/{state.status.total}  {state.message}")
