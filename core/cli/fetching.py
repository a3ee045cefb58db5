"""The command that fetches a base model from the hub: the only way by which anything is fetched."""

from typing import Annotated

import typer

from core.cli.common import app


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A model's name on the hub.", metavar="MODEL")],
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit.")] = None,
    variant: Annotated[str | None, typer.Option("--variant", help="Weight files to prefer, such as fp16.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Fetches without asking.")] = False,
) -> None:
    """Says how much of a base model is missing on this machine, asks, and fetches it from the hub."""
    from core.models.fetching import fetch as fetch_now
    from core.models.fetching import missing_of

    missing = missing_of(name, revision, variant)
    if not missing.absent:
        print(f"{name} is whole on this machine")
        return
    print(f"{name}: {missing.told} are missing on this machine", flush=True)
    if not yes and not typer.confirm("fetch them?"):
        print("nothing was fetched")
        raise typer.Exit(1)
    print(f"fetched into {fetch_now(missing)}")
