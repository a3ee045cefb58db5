"""What is checked before a start, each with what to do about it. Cheap: nothing heavy is loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from app.datasets import advice, count_text, read_folder
from app.design import Design, allowed
from app.hub import HUB, Model
from app.measured import cost_finding, level_finding, memory_finding
from app.space import run_bytes
from app.sweeping import Sweep, problems_of
from core.config.launching import launch_problems
from core.config.paths import EMBEDDED_BASES, is_single_file, model_folder, resolve_path
from core.config.run import RunConfig
from core.config.supported import check_supported
from core.data.prompts import tokens_read
from core.errors import DataError, Problem, RunError, WorkbenchError
from core.models.fetching import Missing, fetch_command
from core.runs.arms import arm_of, resolve_arms
from core.runs.check import Check
from core.runs.fits import size_text
from core.runs.lock import training_in_progress
from core.runs.workspace import Workspace

FREE = 500 * 2**20
"""Bytes; below this much free space a training is not begun."""
MARGIN = 200 * 2**20
"""Bytes that stay free beside what will be written."""
IDLE = "One training at a time"
OR_QUEUE = "Or press [Add to queue]: it starts by itself when its turn comes."


def preflight(
    config: RunConfig | None, problems: Sequence[Problem], workspace: Workspace, design: Design
) -> list[Check]:
    """All checks, the failures of a form that makes no config included.

    Args:
        config: What would be trained, None when the form has problems.
        problems: Those problems.
        workspace: Where the run would lie.
        design: Which arms and how many seeds are asked for.
    """
    checks = [] if config is not None else [Check("fail", "Settings", problem.message) for problem in problems]
    if config is not None:
        checks += [_supported(config), _base(config), _data(config), _prompts(config)]
        if design.is_ab:
            checks += _arms(config, design)
        if design.sweep is not None:
            checks += _sweep(config, design, design.sweep, workspace)
        checks += _measured(config, workspace)
    return [*checks, _writable(workspace), _disk(workspace, config, design), _idle(workspace)]


def _supported(config: RunConfig) -> Check:
    problems = [*check_supported(config), *launch_problems(config)]
    if problems:
        return Check("fail", "Supported", "; ".join(problem.message for problem in problems))
    return Check("pass", "Supported", "This version can train these settings.")


def _base(config: RunConfig) -> Check:
    name = config.model.pretrained_model_name_or_path
    if is_single_file(name):
        return _single_file(config)
    folder = EMBEDDED_BASES[name] if name in EMBEDDED_BASES else resolve_path(name)
    if os.path.isfile(folder / "model_index.json"):  # False for a name that no file can have, too
        return Check("pass", "Base model", f"{name} is a model folder.")
    if name in EMBEDDED_BASES:
        return Check(
            "fail",
            "Base model",
            f"pretrained_model_name_or_path must be a model, got {name}, whose folder assets/{folder.name} is not "
            "complete",
        )
    if os.path.exists(folder) or name.startswith((".", "/", "~")):
        return Check(
            "fail",
            "Base model",
            f"pretrained_model_name_or_path must be a folder with a model_index.json, got {name}; check the path",
        )
    return _of_the_hub(Model(name, config.model.revision, config.model.variant))


def _of_the_hub(model: Model) -> Check:
    """How much of a hub model is to be fetched, as far as the hub says so soon."""
    missing = HUB.missing(model)
    if isinstance(missing, Missing) and not missing.absent:
        return Check("pass", "Base model", f"{model.name} lies whole in the hub's cache.")
    if isinstance(missing, Missing):
        lacks = f"{model.name} is not whole here: {missing.told} are missing."
    elif missing is None:
        lacks = f"{model.name} is no folder here. How much of it is missing is not known: the hub has not answered yet."
    else:
        told = "; ".join(problem.message for problem in missing.problems)
        lacks = f"{model.name} is no folder here. How much of it is missing is not known: {told}."
    never = "A start never fetches: where something is missing, the run stops before its first step."
    return Check("warn", "Base model", f"{lacks} {never} Fetch it with: {fetch_command(*model)}")


def _single_file(config: RunConfig) -> Check:
    name, folder = config.model.pretrained_model_name_or_path, config.model.described_by
    if not os.path.isfile(resolve_path(name)):
        return Check("fail", "Base model", f"pretrained_model_name_or_path must be a file, got {name}; check the path")
    if not os.path.isfile(resolve_path(folder) / "model_index.json"):
        rule = "single_file_config must be a folder with a model_index.json"
        return Check("fail", "Base model", f"{rule}, got {folder}; check the path")
    return Check("pass", "Base model", f"{name} is a single file, described by {folder}.")


def _data(config: RunConfig) -> Check:
    try:
        data = config.data
        listing = read_folder(resolve_path(data.instance_data_dir), data.instance_prompt, masked=data.masked_loss)
    except DataError as error:
        return Check("fail", "Pictures", "; ".join(problem.message for problem in error.problems))
    most = tokens_read(model_folder(config.model.described_by), config.model.family)
    notes = advice(listing, most)
    count = f"{count_text(len(listing.items))} in {config.data.instance_data_dir}."
    doubtful = any("or more" in note or "shorten" in note for note in notes)
    return Check("warn" if doubtful else "pass", "Pictures", " ".join([count, *notes]))


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


def _arms(config: RunConfig, design: Design) -> list[Check]:
    """Whether each arm can be, and what the seeds allow."""
    failed = [Check("fail", "Arms", problem.message) for problem in design.problems]
    for name in design.all_arms:
        try:
            arm_of(name, config)
        except WorkbenchError as error:
            failed.append(Check("fail", f"Arm {name}", str(error)))
    if failed:
        return failed
    try:
        resolve_arms(config, design.all_arms)
    except WorkbenchError as error:
        return [Check("fail", "Arms", str(error))]
    seeds = "1 training seed" if design.seeds == 1 else f"{design.seeds} training seeds"
    text = f"{len(design.all_arms)} arms that differ in the options below alone, {seeds} each. {allowed(design.seeds)}"
    return [Check("pass", "Arms", text)]


def _sweep(config: RunConfig, design: Design, sweep: Sweep, workspace: Workspace) -> list[Check]:
    """Whether every combination can be trained, and within the cap."""
    found = problems_of(sweep, workspace.root, config, design.seeds)
    failed = [Check("fail", "Sweep", problem.message) for problem in (*design.problems, *found)]
    if failed:
        return failed
    count = len(sweep.kept(workspace.root, config, design.seeds))
    return [
        Check(
            "pass",
            "Sweep",
            f"{count} arms, the teacher-forced reference among them. {allowed(design.seeds, sweep=True)}",
        )
    ]


def _measured(config: RunConfig, workspace: Workspace) -> list[Check]:
    """Cost, memory, and whether the pictures can be told apart where rollouts start; none of them stops a start."""
    cost, level = cost_finding(workspace.root, config), level_finding(workspace.root, config)
    found = [Check(cost[0], "Cost", cost[1]), memory_finding(workspace.root, config)]
    return found if level is None else [*found, Check(level[0], "Identifiability", level[1])]


def _writable(workspace: Workspace) -> Check:
    try:
        workspace.check_there()
        workspace.check_writable()
    except RunError as error:
        return Check("fail", "Workspace", str(error))
    return Check("pass", "Workspace", f"{workspace.root} can be written.")


def _disk(workspace: Workspace, config: RunConfig | None, design: Design) -> Check:
    """Free space against what all trainings will write."""
    place = next(folder for folder in (workspace.root, *workspace.root.parents) if os.path.isdir(folder))
    free = shutil.disk_usage(place).free
    text = f"{size_text(free)} free."
    each = None if config is None else run_bytes(config)
    needed = FREE if each is None else max(each * design.trainings + MARGIN, FREE)
    if each is not None:
        many = f" in {design.trainings} trainings" if design.trainings > 1 else ""
        text += f" About {size_text(each * design.trainings)} will be written{many}."
    if free < needed:
        return Check("fail", "Disk", f"{text} {size_text(needed)} must be free: free some space.")
    if each is None and config is not None:
        return Check("info", "Disk", f"{text} How much is written is not known before the base model is read.")
    return Check("pass", "Disk", text)


def _idle(workspace: Workspace) -> Check:
    busy = training_in_progress(workspace.root)
    if busy is not None:
        return Check("fail", IDLE, f"{busy} is in progress: wait for it or stop it. {OR_QUEUE}")
    return Check("pass", IDLE, "Nothing else is training.")
