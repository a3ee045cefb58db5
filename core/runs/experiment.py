"""Experiments: matched arms in one folder, trained one after another by a driver process of their own."""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config.run import RunConfig
from core.errors import RunError, WorkbenchError
from core.runs.arms import DEFAULT_ARMS, REFERENCE, Arm, at_seed, resolve_arms
from core.runs.background import start_in_background
from core.runs.driver import Command, Driver, Say, outcome
from core.runs.experiment_folder import FILE_NAME, ArmRun, Experiment, find_experiment, list_experiments
from core.runs.files import new_folder, title_text, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.liveness import Identity
from core.runs.lock import Occupied, record_launch, starting
from core.runs.process import GRACE_SECONDS, advance_stop, kill_run, request_stop, stop_run
from core.runs.scores import DEFAULT_SCORE, SCORES
from core.runs.status import FINAL_LABELS, Label, State, derive_state, live_process
from core.runs.workspace import Workspace, workspace_of

__all__ = [
    "ArmRun",
    "Experiment",
    "ExperimentState",
    "advance_experiment_stop",
    "create_experiment",
    "experiment_state",
    "find_experiment",
    "kill_experiment",
    "list_experiments",
    "run_experiment",
    "start_experiment",
    "stop_experiment",
]

MOST_SEEDS = 100
DRIVER_PATIENCE = 4  # the driver gets signals only after its arm had time for all of its own


@dataclass(frozen=True)
class ExperimentState:
    """What may be believed of an experiment.

    Attributes:
        label: As for a run; running while its driver or one of its arms runs, paused while that arm is.
        message: One or more lines for people.
        arms: Each arm with its state. An arm that will not be trained any more counts as stopped.
        driver: The state of the process that trains them one after another.
    """

    label: Label
    message: str
    arms: tuple[tuple[ArmRun, State], ...]
    driver: State

    @property
    def final(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.driver.final and all(state.final for _, state in self.arms)

    @property
    def current(self) -> ArmRun | None:
        """The arm that is being trained."""
        return next((arm for arm, state in self.arms if state.live), None)


def create_experiment(
    workspace: Workspace, name: str, config: RunConfig, arms: Sequence[str | Arm] = DEFAULT_ARMS, *,
    seeds: int = 1, primary: str = DEFAULT_SCORE, any_option: bool = False,
    imported: Mapping[str, Any] | None = None,
) -> Experiment:  # fmt: skip
    """Makes an experiment and all of its arms' run folders.

    Args:
        workspace: Where it goes.
        name: What the user calls it; the folder gets its slug, with -2, -3 … where that is taken.
        config: What the arms share.
        arms: Names in ``KNOWN_ARMS``, or arms of one's own.
        seeds: Training seeds, from the config's own upwards. All arms of a seed are trained before those of the next,
            in folders ARM, or ARM-sSEED with more than one seed.
        primary: The score that gives the verdict, a name in ``SCORES``; declared here, before any training.
        any_option: Whether arms of one's own may change any option, as those of a sweep do.
        imported: What was kept of an imported file, frozen into each run beside its config.

    Raises:
        RunError: If the comparison is not fair (see ``resolve_arms``), seeds or primary is out of range, or a folder
            cannot be written; all problems of what is asked for at once.
        ConfigError: If an arm's changes do not go with the config.
    """
    planned = _plan(config, arms, seeds, primary, any_option)
    path = new_folder(workspace.experiments_dir, name)
    try:
        rows = [_make(path, seed, folder, arm, reference, imported) for seed, folder, arm, reference in planned]
        facts = {"name": path.name, "title": title_text(name), "created": time.time()}
        facts |= {"primary": primary, "seeds": seeds}
        write_whole(path / FILE_NAME, to_json({**facts, "arms": rows}, indent=2), durable=True)
    except WorkbenchError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return Experiment(path)


def _plan(
    config: RunConfig, arms: Sequence[str | Arm], seeds: int, primary: str, any_option: bool
) -> list[tuple[int, str, Arm, str | None]]:
    """Seed, folder name, arm and reference's folder name of each run, in their order."""
    problems = []
    if not 1 <= seeds <= MOST_SEEDS:
        problems.append(f"seeds must be between 1 and {MOST_SEEDS}, got {seeds}")
    if primary not in SCORES:
        problems.append(f'primary must be one of {", ".join(SCORES)}, got "{primary}"')
    try:
        resolved = resolve_arms(config, arms, any_option=any_option)
    except RunError as error:
        problems.append(str(error))
    if problems:
        raise RunError("\n".join(problems))
    first, planned = config.training.seed, []
    has_reference = any(arm.arm == REFERENCE for arm in resolved)
    for offset in range(seeds):
        suffix = f"-s{first + offset}" if seeds > 1 else ""
        for arm in resolved:
            reference = REFERENCE + suffix if has_reference and arm.arm != REFERENCE else None
            planned.append((first + offset, arm.stem + suffix, at_seed(arm, config, offset, suffix), reference))
    return planned


def _make(
    experiment: Path, seed: int, name: str, arm: Arm, reference: str | None, imported: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Makes an arm's run folder; its row in the experiment's file."""
    facts = {"arm": arm.arm, "label": arm.label, "experiment": experiment.name, "seed": seed}
    facts |= {} if reference is None else {"reference": reference}
    run = RunFolder.create(experiment, name, arm.config, imported=imported, **facts)
    return {"arm": arm.arm, "run": run.name, "label": arm.label, "changes": dict(arm.changes), "seed": seed}


def experiment_state(experiment: Experiment) -> ExperimentState:
    """What may be believed of an experiment, its driver's and its arms' processes included."""
    driver = derive_state(experiment.folder)
    arms = [(arm, derive_state(arm.run)) for arm in experiment.arms]
    if driver.final:
        arms = [(arm, _never(state) if state.label == "queued" else state) for arm, state in arms]
    working = [arm.run.name for arm, state in arms if state.live]
    if not driver.live and working:
        label = next(state.label for _, state in arms if state.live)
        message = f"{working[0]} goes on, but the process that would start the next arm is gone"
        return ExperimentState(label, message, tuple(arms), driver)
    if driver.label == "running" and any(state.label == "paused" for _, state in arms):
        return ExperimentState("paused", driver.message, tuple(arms), driver)
    return ExperimentState(driver.label, driver.message, tuple(arms), driver)


def run_experiment(
    experiment: Experiment, *, say: Say | None = None, command: Command | None = None, grace: float = GRACE_SECONDS
) -> ExperimentState:
    """Trains the arms that are not done, one after another; this process is the driver.

    SIGINT, SIGTERM or the experiment's control file stop the current arm cleanly and start no other; a second signal
    ends the arm at once. A failed arm does not stop the others.

    Args:
        experiment: What to train.
        say: Takes a line for people at every start and end of an arm.
        command: The argument list that trains a run, in place of ``python -m core run RUN``.
        grace: Seconds until each next signal when an arm is to stop.

    Raises:
        RunError: If a training is in progress in the workspace (named) or the folder cannot be written.
    """
    workspace = workspace_of(experiment.path)
    with starting(workspace.root):
        record_launch(workspace.root, f'experiment "{experiment.name}"', experiment.path, Identity.own())
        writer = StatusWriter(experiment.folder, phase="loading")
    driver = Driver(
        experiment.folder, writer, arm_command if command is None else command, _nothing if say is None else say, grace
    )
    try:
        was_stopped = driver.train([arm.run for arm in experiment.arms])
    except (OSError, WorkbenchError) as error:
        writer.finish("failed", error=str(error))
        raise
    problem = outcome([(arm.run.name, derive_state(arm.run)) for arm in experiment.arms])
    if was_stopped:
        writer.finish("stopped", message=problem or "all arms were done")
    elif problem is not None:
        writer.finish("failed", error=problem)
    else:
        writer.update(step=len(experiment.arms))
        writer.finish("done", message="all arms are done")
    return experiment_state(experiment)


def arm_command(run: RunFolder) -> list[str]:
    """The command that trains an arm: from its last checkpoint where an earlier attempt left one."""
    has_checkpoint = run.checkpoints_dir.is_dir() and any(run.checkpoints_dir.glob("step-*"))
    return [sys.executable, "-m", "core", "resume" if has_checkpoint else "run", str(run.path)]


def start_experiment(
    experiment: Experiment, python: str = sys.executable, *, command: Sequence[str] | None = None
) -> int:
    """Starts the driver in the background; it outlives this process.

    Args:
        experiment: What to train; one that was stopped goes on with the arms that are not done.
        python: The interpreter.
        command: Another program for the driver than ``python -m core ab-run EXPERIMENT``.

    Returns:
        The driver's pid.

    Raises:
        RunError: If a training is in progress in the workspace (named), all arms are done, the folder cannot be
            written, or the program cannot be started.
    """
    root = workspace_of(experiment.path).root
    argv = [python, "-m", "core", "ab-run", str(experiment.path)] if command is None else list(command)
    with starting(root):
        label = experiment_state(experiment).label
        if label == "done":
            raise RunError(f'experiment must be one that is not done, got "{experiment.name}"; make a new one')
        if label not in FINAL_LABELS and label != "queued":  # on another device: this one is free
            raise Occupied(
                f'experiment must be one that is not in progress, got "{experiment.name}"; wait for it or stop it'
            )
        return start_in_background(root, f'experiment "{experiment.name}"', experiment.folder, argv)


def stop_experiment(experiment: Experiment, grace: float = GRACE_SECONDS) -> ExperimentState:
    """Asks the current arm to stop and save, and the driver to start no other; poll ``advance_experiment_stop``.

    Raises:
        RunError: If a control file cannot be written.
    """
    if live_process(experiment.folder) is not None:
        request_stop(experiment.folder, grace * DRIVER_PATIENCE)
    for arm in experiment.arms:
        stop_run(arm.run, grace)
    return advance_experiment_stop(experiment)


def advance_experiment_stop(experiment: Experiment) -> ExperimentState:
    """Sends the signals that are due to the arms and the driver; returns the state. Cheap without a stop request."""
    for arm in experiment.arms:
        advance_stop(arm.run)
    advance_stop(experiment.folder)
    return experiment_state(experiment)


def kill_experiment(experiment: Experiment) -> ExperimentState:
    """Ends the current arm at once, without saving, and starts no other; where no arm is trained, the driver itself.

    Raises:
        RunError: If a control file cannot be written.
    """
    if live_process(experiment.folder) is not None:
        request_stop(experiment.folder, GRACE_SECONDS)
    training = [arm.run for arm in experiment.arms if live_process(arm.run) is not None]
    for run in training if training else [experiment.folder]:
        kill_run(run)
    return experiment_state(experiment)


def _never(state: State) -> State:
    return replace(state, label="stopped", message="not trained: the experiment ended before its turn")


def _nothing(line: str) -> None:
    """Takes a line that nobody wants to read."""
