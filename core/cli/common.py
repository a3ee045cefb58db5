"""What the commands share: the program, their options, and how a typed name becomes a config or a folder."""

import os
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigError, Problem

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


def open_workspace(root: Path | None):
    """The workspace of ``--workspace``, or the usual one."""
    from core.runs.workspace import Workspace

    return Workspace() if root is None else Workspace(root)


def parse_changes(pairs: list[str] | None) -> dict[str, str]:
    """The values of ``--set``.

    Raises:
        ConfigError: one is no KEY=VALUE.
    """
    changed, problems = {}, []
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            problems.append(Problem("--set", f"--set must be KEY=VALUE, got {pair!r}"))
        changed[name.strip()] = value.strip()
    if problems:
        raise ConfigError(problems)
    return changed


def checked_config(source: str, base: str, changes: list[str] | None, root: Path | None):
    """The checked configuration; what this version cannot train is refused here."""
    from core.config.launching import launch_problems
    from core.config.presets import resolve_config
    from core.config.supported import check_supported

    config = resolve_config(source, base=base, overrides=parse_changes(changes), workspace=open_workspace(root).root)
    problems = [*check_supported(config), *launch_problems(config)]
    if problems:
        raise ConfigError(problems)
    return config


def imported_with(source: str):
    """What was kept of an import with a config file; None for a preset, and for a file without it."""
    from core.config.foreign.kept import read_kept

    path = Path(source)
    is_file = path.suffix.lower() in (".json", ".toml") and os.path.isfile(path)
    return read_kept(path).section if is_file else None


def find_run(name: str, root: Path | None):
    """The run folder of a path, or of a name in the workspace."""
    from core.runs.folder import RunFolder

    path = Path(name)
    return RunFolder(path) if os.path.isfile(path / "config.json") else open_workspace(root).find(name)


def find_experiment(name: str, root: Path | None):
    """The experiment of a folder, or of a name in the workspace; None where it names none."""
    from core.runs.experiment_folder import Experiment, list_experiments

    if os.path.isfile(Experiment(Path(name)).file_path):
        return Experiment(Path(name))
    return next((found for found in list_experiments(open_workspace(root)) if found.name == name), None)
