"""The command that looks at this machine, this installation and this workspace."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from core.cli.common import WorkspaceOption, app, open_workspace

WORDS = {"pass": "ok", "info": "info", "warn": "note", "fail": "PROBLEM"}


@app.command()
def doctor(
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Looks at packages, device, precision, disk, workspace and stale runs, and says what to do about each."""
    from core.runs.doctor import installation_checks, workspace_checks

    checks = installation_checks()
    if not any(check.level == "fail" and check.title == "Packages" for check in checks):
        from core.training.doctor import machine_checks  # with a package missing this could not be loaded

        checks += machine_checks()
    checks += workspace_checks(open_workspace(workspace))
    for check in checks:
        print(json.dumps(asdict(check)) if as_json else f"{WORDS[check.level]:8} {check.title:16} {check.text}")
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(1)
