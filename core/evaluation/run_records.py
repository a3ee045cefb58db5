"""A run's journals as a comparison needs them: its measurements by step, its costs up to a step, and what is amiss."""

import contextlib
import math
import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.config.flat import flatten
from core.errors import WorkbenchError
from core.runs import fields
from core.runs.drift import DriftRecord, Scope
from core.runs.experiment_folder import ArmRun
from core.runs.journal import Tail
from core.runs.records import records_from
from core.runs.status import State, derive_state

BACKWARD = 3.0
"""Forward and backward of a trained state, in forwards."""
BACKWARD_CHECKPOINTED = 4.0
"""The same with gradient checkpointing."""


MATERIAL = (
    "pretrained_model_name_or_path", "revision", "variant", "single_file_config", "instance_data_dir",
    "instance_prompt", "resolution", "center_crop",
)  # fmt: skip
"""Options that decide which latents a run's samples are held against."""


@dataclass(frozen=True)
class Costs:
    """What a run had cost until a step; see ``RunScores``. All NaN where no step was recorded.

    Attributes:
        last: Forward equivalents of that step alone.
    """

    seconds: float = math.nan
    forwards: float = math.nan
    trained: float = math.nan
    compute: float = math.nan
    last: float = math.nan
    peak_memory_mib: float | None = None


@dataclass
class RunRecords:
    """One run, read once.

    Attributes:
        arm: Which arm it is.
        seed: Training seed that pairs it.
        planned: Its last step by its config; None where that cannot be read.
        backward: Forward equivalents of a trained state.
        pending: Whether it is neither done nor failed.
        material: What its scores are taken on, values by option: base model, pictures and how they are cut.
        drift: Its measurements by step and scope, the base model's and those of step 0 left out: nothing is trained
            there. The latest of several.
        steps: What its steps cost, by step.
        problems: What is amiss, a sentence each; grows while runs are compared.
    """

    arm: ArmRun
    seed: int = 0
    planned: int | None = None
    backward: float = BACKWARD
    pending: bool = False
    material: Mapping[str, Any] = field(default_factory=dict)
    drift: Mapping[tuple[int, Scope], DriftRecord] = field(default_factory=dict)
    steps: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What problems call it."""
        return self.arm.run.name

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Steps with a measurement that can be compared, in order."""
        return tuple(sorted({step for step, scope in self.drift if scope != "sweep"}))

    @cached_property
    def _costs(self) -> dict[int, Costs]:
        """Costs until each recorded step."""
        found: dict[int, Costs] = {}
        until = Costs(0.0, 0.0, 0.0, 0.0)
        for step in sorted(self.steps):
            row = self.steps[step]
            forwards, trained = fields.count(row, "rollout_forwards"), fields.count(row, "trained_states")
            own = forwards + self.backward * trained
            memory = [peak for peak in (until.peak_memory_mib, fields.optional(row, "memory_mb")) if peak is not None]
            until = Costs(
                until.seconds + fields.number(row, "seconds"), until.forwards + forwards, until.trained + trained,
                until.compute + own, own, max(memory, default=None),
            )  # fmt: skip
            found[step] = until
        return found

    def costs_at(self, step: int | None) -> Costs:
        """What it had cost until a step, as far as its steps are recorded; NaN where none is."""
        recorded = list(self._costs)
        place = 0 if step is None else bisect_right(recorded, step)
        return self._costs[recorded[place - 1]] if place > 0 else Costs()

    def lacking(self, step: int) -> int:
        """How many of the steps until then are not recorded."""
        return step - sum(1 <= recorded <= step for recorded in self.steps)


def read_run(arm: ArmRun) -> RunRecords:
    """Reads a run; whatever is missing or torn is among its problems and nothing raises."""
    found = RunRecords(arm, seed=0 if arm.seed is None else arm.seed)
    if not os.path.isdir(arm.run.path):
        found.problems.append(f"{found.name}: its folder is gone.")
        return found
    try:
        config = arm.run.config()
    except WorkbenchError as error:
        found.problems.append(f"{found.name}: its config cannot be read ({error}).")
    else:
        found.planned = config.training.max_train_steps
        flat = flatten(config)
        found.material = {name: flat[name] for name in MATERIAL}
        found.backward = BACKWARD_CHECKPOINTED if config.training.gradient_checkpointing else BACKWARD
        found.seed = config.training.seed if arm.seed is None else arm.seed
    state = derive_state(arm.run)
    found.pending = state.label not in ("done", "failed")
    if state.label != "done":
        found.problems.append(_unfinished(found, state))
    rows = _rows(found, arm.run.drift_path, live=state.live)
    records = [record for record in records_from(DriftRecord, rows) if not record.base and record.step > 0]
    found.drift = {(record.step, record.scope): record for record in records}
    found.steps = _steps(_rows(found, arm.run.metrics_path, live=state.live))
    return found


def _unfinished(run: RunRecords, state: State) -> str:
    if state.label == "queued":
        return f"{run.name} has not been started."
    how = {
        "running": "is being trained", "stopping": "is being stopped", "stopped": "was stopped", "failed": "failed",
    }.get(state.label, "ended without a word")  # fmt: skip
    planned = state.status.total if run.planned is None else run.planned
    return f"{run.name} {how}: step {state.status.step} of {planned}."


def _rows(run: RunRecords, path: Path, *, live: bool) -> list[dict[str, Any]]:
    """A journal's lines that have a step; says what was left out. An open end is no fault of a run that writes."""
    tail = Tail(path)
    rows = tail.read()
    good = [row for row in rows if "step" in row]
    bad = tail.bad_lines + len(rows) - len(good)
    if bad > 0:
        lines = f"1 line of {path.name} is" if bad == 1 else f"{bad} lines of {path.name} are"
        run.problems.append(f"{run.name}: {lines} unreadable and left out.")
    if tail.torn and not live:
        run.problems.append(f"{run.name}: the last line of {path.name} is torn and left out.")
    return good


def _steps(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    found = {}
    for row in rows:
        with contextlib.suppress(ValueError):
            found[fields.step(row)] = row
    return found
