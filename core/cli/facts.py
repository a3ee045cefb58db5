"""Commands that say what there is and what was measured."""

import sys
from typing import Annotated

import typer

from core.bench import BENCHES
from core.cli.common import WorkspaceOption, app, open_workspace


@app.command()
def presets(workspace: WorkspaceOption = None) -> None:
    """Lists the presets, shipped and one's own."""
    from core.config.presets import broken_presets, list_presets

    root = open_workspace(workspace).root
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
def bench(
    only: Annotated[list[str] | None, typer.Option("--only", help=f"{', '.join(BENCHES)}; default: all.")] = None,
) -> None:
    """Measures what the README claims; run it with nothing else on the machine."""
    from core.bench import run_benches

    run_benches(only)
