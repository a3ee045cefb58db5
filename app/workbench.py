"""What the page can do, in plain Python: every button's work, callable without a browser.

It holds no truth of its own: what it shows is read from the workspace, so a reload, a second browser or a restart lose
nothing.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app import shelf
from app.charts import Charts
from app.command import words_of
from app.design import Design
from app.entries import Entry, experiment_entry, run_entry
from app.journals import Journals
from app.paths import AllowedPaths
from app.selection import Selection, parse_selection
from app.shared import once
from app.sweeping import Sweep
from app.votes import Ballots
from core.config.files import parse_json
from core.config.flat import split
from core.config.launching import launch_problems
from core.config.presets import DEFAULT_PRESET, Preset, list_presets, load_preset, resolve_config, save_preset, slug
from core.config.run import RunConfig
from core.config.supported import check_supported
from core.errors import ConfigError, RunError, WorkbenchError
from core.runs.arms import DEFAULT_ARMS
from core.runs.experiment import (
    advance_experiment_stop,
    create_experiment,
    find_experiment,
    start_experiment,
    stop_experiment,
)
from core.runs.folder import RunFolder
from core.runs.lock import Occupied, starting
from core.runs.measurement import Measurement, find_measurement
from core.runs.measuring import measuring_state, start_measurement
from core.runs.process import advance_stop, start_run, stop_run
from core.runs.queue import read_queue
from core.runs.scores import DEFAULT_SCORE
from core.runs.workspace import Workspace

RESUMABLE = ("stopped", "failed", "lost")
"""States in which something is left to train."""


class Workbench:
    """The workspace as the page needs it.

    Args:
        workspace: Where runs, experiments, presets and data sets lie.
        paths: What the page may be told to use; the workspace and what ships with the project unless given.
    """

    def __init__(self, workspace: Workspace, paths: AllowedPaths | None = None) -> None:
        self.workspace = workspace
        self.paths = AllowedPaths(workspace.root) if paths is None else paths
        self.journals = Journals()
        self.charts = Charts()
        self.ballots = Ballots()

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
        self.workspace.check_there()
        return save_preset(self.workspace.root, title, title, config, summary="Saved from the page.").stem

    def import_text(self, text: str, base: str = DEFAULT_PRESET) -> RunConfig:
        """A config from JSON text, nested or flat, completed from a preset.

        Raises:
            ConfigError: With every problem.
        """
        values = parse_json(text)
        problems = self.paths.problems_of(split(values)[0])
        if problems:
            raise ConfigError(problems)
        return resolve_config(base, overrides=values, workspace=self.workspace.root)

    def command(self, config: RunConfig, preset: str, design: Design, name: str | None = None) -> str:
        """The line to type that does the same.

        Args:
            config: What to train.
            preset: The preset that it differs from the least.
            design: The comparison.
            name: What the user calls it; nothing for what the page would call it.
        """
        title = name.strip() if name and name.strip() else self.default_name(config, design.mode, preset)
        return shlex.join(words_of(self.workspace, self.preset(preset).config, config, preset, design, title))

    def make(
        self,
        config: RunConfig,
        mode: str,
        name: str,
        *,
        arms: Sequence[str] = (),
        seeds: int = 1,
        primary: str = DEFAULT_SCORE,
        preset: str = "",
        sweep: Sweep | None = None,
        imported: Mapping[str, Any] | None = None,
    ) -> Selection:
        """Makes the folders of a training, which freezes its config; nothing starts.

        Args:
            config: What to train.
            mode: ``ab`` for matched arms, ``sweep`` for values of options, ``single`` for one run.
            name: What the user calls it.
            arms: Of an A/B: known arms beside teacher forcing and rollout.
            seeds: Of an A/B: training seeds of each arm.
            primary: Of an A/B: the score that is declared to give the verdict.
            preset: The preset that the config came from, kept with the run.
            sweep: Of a sweep: the values and the cap.
            imported: What was kept of an imported file, frozen into each run beside its config.

        Raises:
            WorkbenchError: If this version cannot train it, or a folder cannot be written.
        """
        problems = [*check_supported(config), *launch_problems(config)]
        if problems:
            raise ConfigError(problems)
        if mode == "ab":
            every = [*DEFAULT_ARMS, *arms]
            experiment = create_experiment(
                self.workspace, name, config, every, seeds=seeds, primary=primary, imported=imported
            )
            return Selection("experiments", experiment.name)
        if sweep is not None:
            kept = [each.arm for each in sweep.kept(self.workspace.root, config, seeds)]
            made = create_experiment(
                self.workspace, name, config, kept, seeds=seeds, primary=primary, any_option=True,
                imported=imported,
            )  # fmt: skip
            return Selection("experiments", made.name)
        run = RunFolder.create(self.workspace.runs_dir, name, config, imported=imported, preset=preset)
        return Selection("runs", run.name)

    def start(self, config: RunConfig, mode: str, name: str, **details: Any) -> Selection:
        """Makes the folders as ``make`` does and starts the training in the background.

        Raises:
            WorkbenchError: If this version cannot train it, another training is in progress, or a folder cannot be
                written.
        """
        self.workspace.check_there()
        with starting(self.workspace.root):
            pass  # refused here, no folder is left behind
        made = self.make(config, mode, name, **details)
        try:
            if made.is_experiment:
                start_experiment(find_experiment(self.workspace, made.name))
            else:
                start_run(self.workspace.find(made.name))
        except Occupied:  # another page was quicker
            shutil.rmtree(self.workspace.root / str(made), ignore_errors=True)
            raise
        return made

    def resume(self, selection: object) -> str:
        """Starts in the background what a training lacks that is stopped, failed or lost, and says so in a sentence.

        Raises:
            RunError: If there is no such training, it needs no resuming, or another one is in progress.
        """
        entry = self.entry(selection)
        if entry is None:
            raise RunError("the run to resume must be one of the workspace, got none of that name; reload the page")
        if entry.label not in RESUMABLE:
            raise RunError(
                f"the run to resume must be {', '.join(RESUMABLE)}, got {entry.title}, which is {entry.label}"
            )
        if entry.selection.is_experiment:
            start_experiment(find_experiment(self.workspace, entry.selection.name))
            left = sum(arm.state.label != "done" for arm in entry.arms)
            return f"{entry.title} goes on: {left} of {len(entry.arms)} trainings are left."
        folder = entry.arms[0].folder
        begun = any(folder.checkpoints_dir.glob("step-*"))
        start_run(folder, verb="resume" if begun else "run")
        where = "from its last checkpoint" if begun else "from the beginning, for it had saved no checkpoint"
        return f"{entry.title} goes on {where}."

    def default_name(self, config: RunConfig | None, mode: str, preset: str) -> str:
        """What a new training is called when nobody names it: after its preset, with one's own pictures after these."""
        known = self.presets().get(preset)
        stem = preset if known is not None else "training"
        if config is not None and known is not None:
            folder = config.data.instance_data_dir
            stem = stem if folder == known.config.data.instance_data_dir else slug(Path(folder).name) or stem
        return stem if mode == "single" else f"{stem}-{mode}"

    def measurement(self, config: RunConfig) -> Measurement | None:
        """What was measured here for a training with this workload, whatever its rollout."""
        return find_measurement(self.workspace.root, config)

    def measure(self, config: RunConfig) -> None:
        """Starts a measurement in the background.

        Raises:
            WorkbenchError: If this version cannot train it, or something else is in progress.
        """
        problems = [*check_supported(config), *launch_problems(config)]
        if problems:
            raise ConfigError(problems)
        self.workspace.check_there()
        start_measurement(self.workspace.root, config)

    def is_measuring(self, config: RunConfig) -> bool:
        """Whether a measurement for such a training runs."""
        state = measuring_state(self.workspace.root, config)
        return state is not None and state.live

    def entries(self) -> list[Entry]:
        """Everything in the workspace, newest first."""
        return [shelf.entry_of(training) for training in shelf.trainings(self.workspace)]

    def runs(self) -> Iterator[RunFolder]:
        """Every run and every arm, the newest training's first. No process is asked."""
        return shelf.runs(self.workspace)

    def recent(self, most: int) -> tuple[list[Entry], int]:
        """The newest of it, and how many there are in all."""
        found = shelf.trainings(self.workspace)
        return [shelf.entry_of(training) for training in found[:most]], len(found)

    def titles(self) -> list[tuple[str, str]]:
        """What people read and how it is addressed, of everything there is, newest first."""
        return once(("titles", self.workspace.root), lambda: shelf.titles(self.workspace))

    def entry(self, selection: object) -> Entry | None:
        """What a selection names; None when it is no selection or there is no such thing."""
        return once(("entry", self.workspace.root, str(selection)), lambda: self._entry(selection))

    def _entry(self, selection: object) -> Entry | None:
        parsed = parse_selection(str(selection))
        if parsed is None:
            return None
        try:
            if parsed.is_experiment:
                return experiment_entry(find_experiment(self.workspace, parsed.name))
            return run_entry(self.workspace.find(parsed.name))
        except WorkbenchError:
            return None

    def active(self) -> Entry | None:
        """What is training now; cheap while nothing is."""
        return once(("active", self.workspace.root), lambda: shelf.active(self.workspace))

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
        queue = read_queue(self.workspace.root)
        after = " Then the queue goes on with its next training; hold it on the Launch tab if that shall not be."
        follows = bool(queue.waiting) and not queue.held
        return f"{entry.title} was asked to stop: it saves what it has, then ends.{after if follows else ''}"

    def advance_stops(self, entry: Entry) -> None:
        """Lets a stop that is under way go on to its next signal; called from each poll."""
        if entry.label != "stopping":
            return
        if entry.selection.is_experiment:
            advance_experiment_stop(find_experiment(self.workspace, entry.selection.name))
        else:
            advance_stop(entry.arms[0].folder)
