"""A run or an experiment as the page sees it: its arms and what may be believed of them."""

from __future__ import annotations

from dataclasses import dataclass

from app.selection import Selection
from core.runs.experiment import Experiment, experiment_state
from core.runs.folder import RunFolder
from core.runs.status import FINAL_LABELS, State, derive_state


@dataclass(frozen=True)
class Arm:
    """One training that is watched.

    Attributes:
        label: Name of its run folder: the arm, with its training seed where an experiment has several.
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


def run_entry(folder: RunFolder) -> Entry:
    """A single run, which is its own only arm."""
    state = derive_state(folder)
    return Entry(
        Selection("runs", folder.name),
        folder.title,
        folder.created,
        state.label,
        state.message,
        (Arm(folder.name, folder, state),),
    )


def experiment_entry(experiment: Experiment) -> Entry:
    """An experiment with all of its arms."""
    state = experiment_state(experiment)
    arms = tuple(Arm(arm.run.name, arm.run, arm_state) for arm, arm_state in state.arms)
    return Entry(
        Selection("experiments", experiment.name),
        experiment.title,
        experiment.created,
        state.label,
        state.message,
        arms,
    )
