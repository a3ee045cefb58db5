"""What the page can do, in plain Python: every button's work, callable without a browser.

It holds no truth of its own: what it shows is read from the workspace, so a reload, a second browser or a restart lose
nothing.
"""

from __future__ import annotations

import json
import math
import shlex
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from app.charts import Charts
from app.journals import Journals
from app.selection import Selection, parse_selection
from core.config.fields import flat_name
from core.config.flat import difference
from core.config.presets import DEFAULT_PRESET, Preset, list_presets, load_preset, resolve_config, save_preset
from core.config.run import RunConfig
from core.config.supported import check_supported
from core.config.table import value_text
from core.errors import ConfigError, Problem, RunError, WorkbenchError
from core.runs.arms import DEFAULT_ARMS
from core.runs.experiment import (
    Experiment,
    advance_experiment_stop,
    create_experiment,
    experiment_state,
    find_experiment,
    list_experiments,
    start_experiment,
    stop_experiment,
)
from core.runs.folder import RunFolder
from core.runs.process import advance_stop, start_run, stop_run
from core.runs.status import FINAL_LABELS, State, derive_state
from core.runs.workspace import Workspace

TOO_LONG = "too-long"


@dataclass(frozen=True)
class Arm:
    """One training that is watched.

    Attributes:
        label: Name of the arm, or of the run where there is only one.
        folder: Its run folder.
        state: What may be believed of it now.
    """

    label: str
    folder: RunFolder
    state: State


@dataclass(frozen=True)
class Entry:
    """A run or an experiment in a list.

    Attributes:
        selection: How it is addressed.
        title: What the user called it.
        created: Unix time.
        label: Its state in one word, an experiment's driver included.
        message: The same in one or more lines for people.
        arms: Its trainings, one for a single run.
    """

    selection: Selection
    title: str
    created: float
    label: str
    message: str
    arms: tuple[Arm, ...]

    @property
    def final(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.label in FINAL_LABELS

    @property
    def active(self) -> Arm | None:
        """The arm whose process runs."""
        return next((arm for arm in self.arms if arm.state.live), None)


class Workbench:
    """The workspace as the page needs it.

    Args:
        workspace: Where runs, experiments, presets and data sets lie.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.journals = Journals()
        self.charts = Charts()

    def presets(self) -> dict[str, Preset]:
        """Shipped presets and the workspace's own, by name."""
        return list_presets(self.workspace.root)

    def preset(self, name: str) -> Preset:
        """One preset.

        Raises:
            ConfigError: If there is none of that name.
        """
        return load_preset(name, self.workspace.root)

    def keep_preset(self, title: str, config: RunConfig) -> str:
        """Saves a config as a preset of one's own and returns its name.

        Raises:
            WorkbenchError: If the name is taken by a shipped preset or empty, or the file cannot be written.
        """
        return save_preset(self.workspace.root, title, title, config, summary="Saved from the page.").stem

    def import_text(self, text: str, base: str = DEFAULT_PRESET) -> RunConfig:
        """A config from JSON text, nested or flat, completed from a preset.

        Raises:
            ConfigError: With every problem.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                [Problem("config", f"the config must be JSON, got an error in line {error.lineno}: {error.msg}")]
            ) from error
        if not isinstance(values, dict):
            raise ConfigError([Problem("config", "the config must be a JSON object of options, got something else")])
        flat = {}
        for key, value in values.items():
            flat |= _flat_block(key, value) if isinstance(value, Mapping) else {key: value}
        return resolve_config(base, overrides=flat, workspace=self.workspace.root)

    def command(self, config: RunConfig, preset: str, mode: str) -> str:
        """The line to type that does the same."""
        base = self.preset(preset).config
        parts = ["python", "-m", "core", "ab" if mode == "ab" else "train", preset]
        for name, (_, value) in difference(base, config).items():
            parts += ["--set", f"{name}={value_text(value)}"]
        return shlex.join(parts)

    def start(self, config: RunConfig, mode: str, name: str, *, too_long: bool = False, preset: str = "") -> Selection:
        """Makes the folders and starts the training in the background.

        Args:
            config: What to train.
            mode: ``ab`` for matched arms, ``single`` for one run.
            name: What the user calls it.
            too_long: Add the third arm to an A/B.
            preset: The preset that the config came from, kept with the run.

        Raises:
            WorkbenchError: If this version cannot train it, another training is in progress, or a folder cannot be
                written.
        """
        problems = check_supported(config)
        if problems:
            raise ConfigError(problems)
        if mode == "ab":
            arms = [*DEFAULT_ARMS, *([TOO_LONG] if too_long else [])]
            experiment = create_experiment(self.workspace, name, config, arms)
            start_experiment(experiment)
            return Selection("experiments", experiment.name)
        folder = RunFolder.create(self.workspace.runs_dir, name, config, preset=preset)
        start_run(folder)
        return Selection("runs", folder.name)

    def plain_step_seconds(self, config: RunConfig) -> float | None:
        """Median seconds of a step without rollout, from the latest training that is alike in what decides it."""
        for entry in self.entries():
            for arm in entry.arms:
                try:
                    other = arm.folder.config()
                except WorkbenchError:
                    continue
                if other.scheduled_sampling.enabled or workload(other) != workload(config):
                    continue
                steps = [record.seconds for record in self.journals.steps(arm.folder.metrics_path)]
                known = [seconds for seconds in steps if math.isfinite(seconds)]
                if known:
                    return statistics.median(known)
        return None

    def entries(self) -> list[Entry]:
        """Everything in the workspace, newest first."""
        found = [_run_entry(folder) for folder in self.workspace.runs()]
        found += [_experiment_entry(experiment) for experiment in list_experiments(self.workspace)]
        return sorted(found, key=lambda entry: entry.created, reverse=True)

    def entry(self, selection: object) -> Entry | None:
        """What a selection names; None when it is no selection or there is no such thing."""
        parsed = parse_selection(str(selection))
        if parsed is None:
            return None
        try:
            if parsed.is_experiment:
                return _experiment_entry(find_experiment(self.workspace, parsed.name))
            return _run_entry(self.workspace.find(parsed.name))
        except WorkbenchError:
            return None

    def active(self) -> Entry | None:
        """What is training now."""
        return next((entry for entry in self.entries() if not entry.final and entry.label != "queued"), None)

    def stop(self, selection: object) -> str:
        """Asks for a stop and says so in a sentence; the state tells when it has happened.

        Raises:
            RunError: If there is no such run, or its folder cannot be written.
        """
        entry = self.entry(selection)
        if entry is None:
            raise RunError("the run to stop must be one of the workspace, got none of that name; reload the page")
        if entry.final:
            return f"{entry.title} is not running."
        if entry.selection.is_experiment:
            stop_experiment(find_experiment(self.workspace, entry.selection.name))
        else:
            stop_run(entry.arms[0].folder)
        return f"{entry.title} was asked to stop: it saves what it has, then ends."

    def advance_stops(self, entry: Entry) -> None:
        """Lets a stop that is under way go on to its next signal; called from each poll."""
        if entry.label != "stopping":
            return
        if entry.selection.is_experiment:
            advance_experiment_stop(find_experiment(self.workspace, entry.selection.name))
        else:
            advance_stop(entry.arms[0].folder)


def _run_entry(folder: RunFolder) -> Entry:
    state = derive_state(folder)
    return Entry(
        Selection("runs", folder.name),
        folder.title,
        folder.created,
        state.label,
        state.message,
        (Arm(folder.name, folder, state),),
    )


def _experiment_entry(experiment: Experiment) -> Entry:
    state = experiment_state(experiment)
    arms = tuple(Arm(arm.arm, arm.run, arm_state) for arm, arm_state in state.arms)
    return Entry(
        Selection("experiments", experiment.name),
        experiment.title,
        experiment.created,
        state.label,
        state.message,
        arms,
    )


def _flat_block(block: str, values: Mapping[str, object]) -> dict[str, object]:
    return {flat_name(block, field): value for field, value in values.items()}


def workload(config: RunConfig) -> tuple[object, ...]:
    """The options that decide how long a plain step takes."""
    training = config.training
    return (
        config.model.pretrained_model_name_or_path,
        config.data.resolution,
        config.data.with_prior_preservation,
        training.train_batch_size,
        training.gradient_accumulation_steps,
        training.gradient_checkpointing,
        training.mixed_precision,
        config.lora,
    )


def default_name(mode: str, preset: str) -> str:
    """What a new run or experiment is called when the user gives no name."""
    stem = preset if preset else "training"
    return f"{stem}-ab" if mode == "ab" else stem
