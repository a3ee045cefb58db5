"""Commands that judge what was trained."""

import os
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import WorkspaceOption, app, open_workspace


@app.command()
def report(
    experiment: Annotated[str, typer.Argument(help="An experiment's name in the workspace, or its folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="Its folder; default: WORKSPACE/reports/NAME.")] = None,
    view: Annotated[str, typer.Option("--view", help="Compare at equal steps or at equal compute.")] = "steps",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of text.")] = False,
    workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """Says whether rollout helped, or ranks a sweep, and writes a folder that shows it and opens without a server."""
    from core.report.export import export_report
    from core.report.judged import judge_experiment

    found = _find(experiment, workspace)
    kind = _view(view)
    folder = open_workspace(workspace).root / "reports" / found.name if out is None else out
    written = export_report(found, folder, view=kind)
    judged = judge_experiment(found, kind)
    if as_json:
        _print_json(judged, written)
    else:
        _print_text(judged, written)


def _find(name: str, root: Path | None):
    from core.runs.experiment_folder import FILE_NAME, Experiment, find_experiment

    path = Path(name)
    return Experiment(path) if os.path.isfile(path / FILE_NAME) else find_experiment(open_workspace(root), name)


def _view(name: str):
    from core.errors import ConfigError, Problem

    if name not in ("steps", "compute"):
        raise ConfigError([Problem("--view", f"--view must be steps or compute, got {name!r}")])
    return name


def _print_text(judged, folder: Path) -> None:
    from core.report.words import as_text, cost_table, ranking_table, score_table, verdict_lines

    runs, judgement = judged.runs, judged.judgement
    head, places = ranking_table(judgement)
    ranking = ["", *as_text(head, places)] if places else []
    lines = [
        *verdict_lines(judgement),
        *ranking,
        "",
        *as_text(*score_table(runs, judgement)),
        "",
        *as_text(*cost_table(runs)),
    ]
    if judgement.problems:
        lines += ["", "Problems:", *judgement.problems]
    print("\n".join([*lines, "", f"report: {folder / 'index.html'}"]))


def _print_json(judged, folder: Path) -> None:
    from core.report.data import judgement_facts, run_facts
    from core.runs.files import to_json

    runs = [run_facts(run) for run in judged.runs]
    print(to_json({"judgement": judgement_facts(judged.judgement), "runs": runs, "report": str(folder)}))
