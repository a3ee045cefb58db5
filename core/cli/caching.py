"""``python -m core cache``: what encoded pictures and prompts take on the disk, and how to be rid of them."""

from typing import Annotated

import typer

from core.cli.common import WorkspaceOption, app, open_workspace


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove encoded pictures and prompts, all of them.")] = False,
    trim: Annotated[
        int | None, typer.Option("--trim", metavar="MB", min=0, help="Remove the longest unused until so many MB stay.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Says what encoded pictures and prompts take on the disk. They are made again when a training needs them."""
    from core.runs.cached import clear_cache, kept_of, trim_cache

    root = open_workspace(workspace).root
    if clear:
        clear_cache(root)
    if trim is not None:
        trim_cache(root, trim * 2**20)
    for name, count, size in kept_of(root):
        print(f"{name:14} {count:6} files  {size / 2**20:10.1f} MB")
