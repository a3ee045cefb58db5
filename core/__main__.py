"""The command line: ``python -m core COMMAND``. All that the page does can be typed."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigError, DataError, WorkbenchError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Scheduled sampling (rollout) in LoRA DreamBooth training. Exit status: 0 done, 1 failed, 2 bad input.",
)  # fmt: skip

Source = Annotated[str, typer.Argument(help="A preset's name, or a .toml or .json file.", metavar="PRESET|CONFIG")]
Base = Annotated[str, typer.Option("--preset", help="Preset that completes a partial file.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="One option by its flat name; may be repeated.", metavar="KEY=VALUE")
]
WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", help="Folder for runs; default $ROLLOUT_WORKSPACE or ./workspace.")
]
Run = Annotated[str, typer.Argument(help="A run's folder, or its name in the workspace.", metavar="RUN")]


def _workspace(root: Path | None):
    from core.runs.workspace import Workspace

    return Workspace() if root is None else Workspace(root)


def _changes(pairs: list[str] | None) -> dict[str, str]:
    from core.errors import Problem

    changes, problems = {}, []
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            problems.append(Problem("--set", f"--set must be KEY=VALUE, got {pair!r}"))
        changes[name.strip()] = value.strip()
    if problems:
        raise ConfigError(problems)
    return changes


def _config(source: str, base: str, changes: list[str] | None, root: Path | None):
    """The checked configuration; what this version cannot train is refused here."""
    from core.config.presets import resolve_config
    from core.config.supported import check_supported

    config = resolve_config(source, base=base, overrides=_changes(changes), workspace=_workspace(root).root)
    problems = check_supported(config)
    if problems:
        raise ConfigError(problems)
    return config


def _run_folder(name: str, root: Path | None):
    from core.runs.folder import RunFolder

    path = Path(name)
    return RunFolder(path) if (path / "config.json").is_file() else _workspace(root).find(name)


@app.command()
def presets(workspace: WorkspaceOption = None) -> None:
    """Lists the presets, shipped and one's own."""
    from core.config.presets import broken_presets, list_presets

    root = _workspace(workspace).root
    for preset in list_presets(root).values():
        print(f"{preset.name:12} {preset.title}\n{'':12} {preset.summary}\n{'':12} for: {preset.for_whom}")
    for name, error in broken_presets(root).items():
        print(f"{name:12} cannot be read: {error}", file=sys.stderr)


@app.command()
def options() -> None:
    """Prints the table of all options, as the README and the page have it."""
    from core.config.table import markdown_table

    print(markdown_table())


@app.command()
def train(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="Where the run folder is made.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name; default: the preset's or file's.")] = None,
) -> None:  # fmt: skip
    """Makes a run folder and trains in the foreground."""
    config = _config(source, preset, changes, workspace)
    from core.runs.folder import RunFolder

    title = Path(source).stem if name is None else name
    folder = RunFolder.create(_workspace(workspace).runs_dir if runs_dir is None else runs_dir, title, config)
    print(f"run folder: {folder.path}", flush=True)
    _train(folder, resume=False)


@app.command()
def run(run: Run, workspace: WorkspaceOption = None) -> None:
    """Trains a run folder that is there: what the page launches."""
    _train(_run_folder(run, workspace), resume=False)


@app.command()
def resume(run: Run, workspace: WorkspaceOption = None) -> None:
    """Goes on from a run's newest checkpoint."""
    _train(_run_folder(run, workspace), resume=True)


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
    config = _config(source, preset, changes, workspace)
    from core.runs.arms import DEFAULT_ARMS
    from core.runs.experiment import create_experiment

    title = f"{Path(source).stem}-ab" if name is None else name
    arms = (*DEFAULT_ARMS, "too-long") if too_long else DEFAULT_ARMS
    experiment = create_experiment(_workspace(workspace), title, config, arms)
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
    config = _config(source, preset, changes, workspace)
    from core.training import forecasting

    found = forecasting.measure_here(config, _workspace(workspace))
    if as_json:
        print(json.dumps(forecasting.as_json(config, found)))
    else:
        print("\n".join(forecasting.as_lines(config, found)))


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

    folder = _run_folder(run, workspace)
    for path in draw(
        folder, prompt, [seed + index for index in range(count)], folder.path / "drawn" if out is None else out
    ):
        print(path)


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(help="One run; default: all of the workspace.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Says what runs are doing, as far as it can be believed."""
    from core.runs.experiment import list_experiments
    from core.runs.status import derive_state

    space = _workspace(workspace)
    if run is not None:
        folders = [_run_folder(run, workspace)]
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


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="A run's or an experiment's name in the workspace, or a run's folder.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Asks a run, or all of an experiment, to save and stop, and waits until it has."""
    from core.runs.experiment import advance_experiment_stop, list_experiments, stop_experiment
    from core.runs.process import GRACE_SECONDS, stop_run, wait_for_end

    experiment = next((found for found in list_experiments(_workspace(workspace)) if found.name == run), None)
    if experiment is None:
        folder = _run_folder(run, workspace)
        state = stop_run(folder)
        if state.live:
            state = wait_for_end(folder, 4 * GRACE_SECONDS)
    else:
        state = stop_experiment(experiment)
        while state.label in ("running", "stopping"):
            time.sleep(0.2)
            state = advance_experiment_stop(experiment)
    print(f"{state.label}: {state.message}")


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="calls, steps, visited, memory, forecast or page; default: all.")
    ] = None,
) -> None:
    """Measures what the README claims; run it with nothing else on the machine."""
    from core.bench import run_benches

    run_benches(only)


def main() -> None:
    """Runs a command; errors that are fit for people become one sentence a line and an exit status."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], None]) -> int:
    try:
        command()
    except (ConfigError, DataError) as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except WorkbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
