"""What is checked before a start, each with what to do about it. Cheap: nothing heavy is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from app.datasets import advice, count_text, read_folder
from app.html import Level
from app.measured import cost_finding, level_finding
from core.config.paths import EMBEDDED_BASES, resolve_path
from core.config.run import RunConfig
from core.config.supported import check_supported
from core.errors import DataError, Problem, RunError, WorkbenchError
from core.runs.arms import DEFAULT_ARMS, resolve_arms
from core.runs.lock import training_in_progress
from core.runs.workspace import Workspace

FREE_MB = 500
"""Below this much free space a training is not begun."""


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        level: ``pass``, ``info`` (not known yet), ``warn`` (may go on) or ``fail`` (cannot start).
        title: What was checked.
        text: What was found, and what to do.
    """

    level: Level
    title: str
    text: str


def preflight(
    config: RunConfig | None, problems: Sequence[Problem], workspace: Workspace, mode: str, too_long: bool
) -> list[Check]:
    """All checks, the failures of a form that makes no config included.

    Args:
        config: What would be trained, None when the form has problems.
        problems: Those problems.
        workspace: Where the run would lie.
        mode: ``ab`` or ``single``.
        too_long: Whether a third arm is asked for.
    """
    checks = [] if config is not None else [Check("fail", "Settings", problem.message) for problem in problems]
    if config is not None:
        checks += [_supported(config), _base(config), _data(config), _prompts(config)]
        if mode == "ab":
            checks.append(_arms(config, too_long))
        checks += _measured(config, workspace)
    return [*checks, _writable(workspace), _disk(workspace), _idle(workspace)]


def _supported(config: RunConfig) -> Check:
    problems = check_supported(config)
    if problems:
        return Check("fail", "Supported", "; ".join(problem.message for problem in problems))
    return Check("pass", "Supported", "This version can train these settings.")


def _base(config: RunConfig) -> Check:
    name = config.model.pretrained_model_name_or_path
    folder = EMBEDDED_BASES[name] if name in EMBEDDED_BASES else resolve_path(name)
    if (folder / "model_index.json").is_file():
        return Check("pass", "Base model", f"{name} is a model folder.")
    if name in EMBEDDED_BASES:
        return Check(
            "fail",
            "Base model",
            f"pretrained_model_name_or_path must be a model, got {name}, whose folder assets/{folder.name} is not "
            "complete",
        )
    if folder.exists() or name.startswith((".", "/", "~")):
        return Check(
            "fail",
            "Base model",
            f"pretrained_model_name_or_path must be a folder with a model_index.json, got {name}; check the path",
        )
    return Check(
        "warn",
        "Base model",
        f"{name} is no folder here: it will be fetched from the hub, which takes a connection and space on the disk.",
    )


def _data(config: RunConfig) -> Check:
    try:
        listing = read_folder(resolve_path(config.data.instance_data_dir), config.data.instance_prompt)
    except DataError as error:
        return Check("fail", "Pictures", "; ".join(problem.message for problem in error.problems))
    notes = advice(listing)
    count = f"{count_text(len(listing.items))} in {config.data.instance_data_dir}."
    few = any("or more" in note for note in notes)
    return Check("warn" if few else "pass", "Pictures", " ".join([count, *notes]))


def _prompts(config: RunConfig) -> Check:
    count = len(config.validation.validation_prompts)
    if count == 0:
        return Check(
            "warn",
            "Sample prompts",
            "validation_prompts is empty: there will be no pictures to compare; give some on the Data tab.",
        )
    pictures = count * config.validation.num_validation_images
    return Check(
        "pass",
        "Sample prompts",
        f"{count} prompts, {pictures} pictures at each round of samples, the same seeds in all arms.",
    )


def _arms(config: RunConfig, too_long: bool) -> Check:
    try:
        arms = resolve_arms(config, [*DEFAULT_ARMS, *(["too-long"] if too_long else [])])
    except WorkbenchError as error:
        return Check("fail", "Arms", str(error))
    return Check("pass", "Arms", f"{len(arms)} arms that differ in the rollout alone.")


def _measured(config: RunConfig, workspace: Workspace) -> list[Check]:
    """Cost, and whether the pictures can be told apart where rollouts start; neither stops a start."""
    cost, level = cost_finding(workspace.root, config), level_finding(workspace.root, config)
    found = [Check(cost[0], "Cost", cost[1])]
    return found if level is None else [*found, Check(level[0], "Identifiability", level[1])]


def _writable(workspace: Workspace) -> Check:
    try:
        workspace.check_writable()
    except RunError as error:
        return Check("fail", "Workspace", str(error))
    return Check("pass", "Workspace", f"{workspace.root} can be written.")


def _disk(workspace: Workspace) -> Check:
    free = shutil.disk_usage(workspace.root if workspace.root.exists() else workspace.root.parent).free // 2**20
    text = f"{free / 1024:.1f} GB free."
    if free < FREE_MB:
        return Check("fail", "Disk", f"{text} A run needs {FREE_MB} MB or more: free some space.")
    return Check("pass", "Disk", text)


def _idle(workspace: Workspace) -> Check:
    busy = training_in_progress(workspace.root)
    if busy is not None:
        return Check("fail", "One training at a time", f"{busy} is in progress: wait for it or stop it.")
    return Check("pass", "One training at a time", "Nothing else is training.")
