"""Commands that judge what was trained."""

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
    """Says whether rollout helped, and writes a folder that shows it and opens without a server."""
    from core.evaluation.verdict import judge, read_scores
    from core.report.export import export_report

    found = _find(experiment, workspace)
    kind = _view(view)
    folder = open_workspace(workspace).root / "reports" / found.name if out is None else out
    written = export_report(found, folder, view=kind)
    runs = read_scores(found.arms, view=kind)
    judgement = judge(runs, primary=found.primary)
    if as_json:
        _print_json(runs, judgement, written)
    else:
        _print_text(runs, judgement, written)


def _find(name: str, root: Path | None):
    from core.runs.experiment_folder import FILE_NAME, Experiment, find_experiment

    path = Path(name)
    return Experiment(path) if (path / FILE_NAME).is_file() else find_experiment(open_workspace(root), name)


def _view(name: str):
    from core.errors import ConfigError, Problem

    if name not in ("steps", "compute"):
        raise ConfigError([Problem("--view", f"--view must be steps or compute, got {name!r}")])
    return name


def _print_text(runs, judgement, folder: Path) -> None:
    from core.report.words import as_text, cost_table, score_table, verdict_lines

    lines = [*verdict_lines(judgement), "", *as_text(*score_table(runs, judgement)), "", *as_text(*cost_table(runs))]
    if judgement.problems:
        lines += ["", "Problems:", *judgement.problems]
    print("\n".join([*lines, "", f"report: {folder / 'index.html'}"]))


def _print_json(runs, judgement, folder: Path) -> None:
    from core.report.data import judgement_facts, run_facts
    from core.runs.files import to_json

    facts = {"judgement": judgement_facts(judgement), "runs": [run_facts(run) for run in runs], "report": str(folder)}
    print(to_json(facts))
