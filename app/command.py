"""The command line that trains what the page would start."""

from __future__ import annotations

from app.design import Design
from core.config.flat import difference
from core.config.run import RunConfig
from core.config.table import value_text
from core.runs.workspace import Workspace

_COMMANDS = {"ab": "ab", "single": "train", "sweep": "sweep"}


def words_of(
    workspace: Workspace, base: RunConfig, config: RunConfig, preset: str, design: Design, name: str
) -> list[str]:
    """The words of the command, from the project's folder.

    Args:
        workspace: Where the training goes; named unless it is where the command would look by itself.
        base: The preset's config.
        config: What to train.
        preset: The preset's name.
        design: The comparison.
        name: What it is called; left out where the command would call it so by itself.
    """
    words = ["python", "-m", "core", _COMMANDS[design.mode], preset]
    for option, (_, value) in difference(base, config).items():
        words += ["--set", f"{option}={value_text(value)}"]
    for arm in design.all_arms if design.arms else ():
        words += ["--arm", arm]
    words += [] if design.sweep is None else design.sweep.words()
    if design.is_experiment:
        words += ["--seeds", str(design.seeds), "--primary", design.primary]
    if name != (f"{preset}-{design.mode}" if design.is_experiment else preset):
        words += ["--name", name]
    if workspace.root != Workspace().root:
        words += ["--workspace", str(workspace.root)]
    return words
