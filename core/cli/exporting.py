"""The command that hands a finished run's LoRA on to other tools."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Run, WorkspaceOption, app, find_run
from core.errors import ConfigError


@app.command()
def export(
    run: Run,
    format: Annotated[str, typer.Option("--format", help="diffusers, kohya or peft.")] = "diffusers",
    out: Annotated[
        Path | None, typer.Option("--out", help="Its folder; default: WORKSPACE/exports/NAME-FORMAT.")
    ] = None,
    packed: Annotated[bool, typer.Option("--zip", help="Packs the folder into one file beside it.")] = False,
    push: Annotated[
        str | None, typer.Option("--push", help="Uploads it to this repository of the hub, with the token in HF_TOKEN.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Writes a finished run's LoRA for other tools, reads it back, and checks that it does the same."""
    from core.runs.exported import export_folder, export_name, export_path
    from core.runs.files import make_folder, slug
    from core.runs.heartbeat import StatusWriter
    from core.runs.swap import zipped
    from core.runs.workspace import workspace_of
    from core.training.report import Report, recorded

    found = find_run(run, workspace)
    space = workspace_of(found.path)
    _check(format, found.config().model.family, push)
    identifier = space.identifier(found)
    target = (export_path(_space(space, workspace), identifier, format) if out is None else out).absolute()
    name = export_name(identifier) if out is None else slug(target.name)
    folder = export_folder(found, format)
    make_folder(folder.path)
    status = StatusWriter(folder, phase="loading", message="loading the base model")
    done, report = False, Report(folder, status)
    with recorded(status), closing(report):
        lines = _exported(found, format, target, name, report)
        lines += [f"zip: {zipped(target)}"] if packed else []
        report.close()
        print("\n".join(lines), flush=True)
        if push is not None:
            _push(target, push, report)
        status.finish("done", message="exported")
        done = True
    if not done:
        print("stopped")
        raise typer.Exit(1)


def _check(format: str, family: str, push: str | None) -> None:
    """Refuses what cannot be, before anything is loaded."""
    from core.export.formats import format_problem

    problems = [format_problem(format, family)]
    if push is not None:
        from core.export.push import push_problem

        problems.append(push_problem(push))
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigError(found)


def _push(target: Path, repo: str, report) -> None:
    """Says what goes where, and uploads it."""
    from core.export.push import push, push_text

    report.phase("saving", "pushing to the hub")
    print(push_text(target, repo), flush=True)
    print(f"pushed: {push(target, repo)}", flush=True)


def _exported(found, format: str, target: Path, name: str, report) -> list[str]:
    """Exports, and says what was measured and where it lies."""
    from core.export.export import export_run
    from core.regular import size_text

    made = export_run(found, format, target, name, report)
    weights = next(iter(made.files))
    return [
        f"checked: {'; '.join(each.text for each in made.measured)}",
        f"weights: {weights}, {size_text(made.files[weights])}",
        f"export: {target}",
    ]


def _space(own, asked: Path | None):
    """The workspace of ``--workspace``, else the run's own."""
    from core.runs.workspace import Workspace

    return own if asked is None else Workspace(asked)
