"""Steps and events as the journals hold them, typed; a record of an older or newer writer still reads.

NaN stands for a number that was not finite when it was written (the journal has null there).
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from core.runs import fields, journal


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step, a line of ``metrics.jsonl``.

    Attributes:
        step: Counted from 1.
        loss: What was minimised: the mean over instance items, plus prior_loss_weight times that over class items.
        loss_rolled: Mean over the items that were rolled; None when there was none.
        loss_teacher_forced: Mean over the other items; None when there was none.
        lr: Learning rate.
        grad_norm: L2 norm before clipping.
        probability: Planned chance of a rollout per item, 0..1.
        rolled: Items with k > 0.
        items: Items of the step, in all processes; so are all that follow.
        mean_offset: Mean of k over all items, in rollout steps.
        max_offset: Largest k.
        rollout_calls: Model calls that the rollouts took, of several processes in the one that made the most.
        rollout_forwards: The same in items: the sum of the calls' batch sizes.
        below_grid: Items that stayed teacher-forced because their timestep lies below the inference grid's first point.
        trained_states: States that were trained: the items in fresh mode, in visited mode every state of every rollout.
        rollout_drift: rms(rolled - noisy) / sqrt(alpha² m2 + sigma²) over rolled items; None when there was none.
        rollout_v: V live: ln(mean rolled² / mean noisy²) over rolled states, paired; below 0 they are shrunk. None
            when nothing was rolled.
        rollout_g2: G2 live (squared units of the latents), visited mode only; above 0 errors are carried along.
        posterior_entropy: Entropy of the posterior target's weights in nats, mean over rolled states; 0 is one picture.
            None without that target, or when nothing was rolled; the same holds for the next one.
        posterior_nearest: Share of the weightiest picture in the posterior target, 0..1, mean over rolled states.
        reflexflow_direction: ReflexFlow's direction loss (ADR), 0..4, mean over rolled states, before beta1. None
            without ReflexFlow, or when nothing was rolled; the same holds for the next two.
        reflexflow_error: ReflexFlow's re-weighted squared error, mean over rolled states, before beta2.
        reflexflow_spread: Root mean square of ReflexFlow's weights minus 1; 0 weights all elements alike.
        seconds: Duration of the step.
        elapsed: Seconds of training until its end.
        memory_mb: Peak memory of the main process in MiB.
    """

    step: int
    loss: float
    loss_rolled: float | None = None
    loss_teacher_forced: float | None = None
    lr: float = math.nan
    grad_norm: float = math.nan
    probability: float = 0.0
    rolled: int = 0
    items: int = 0
    mean_offset: float = 0.0
    max_offset: int = 0
    rollout_calls: int = 0
    rollout_forwards: int = 0
    below_grid: int = 0
    trained_states: int = 0
    rollout_drift: float | None = None
    rollout_v: float | None = None
    rollout_g2: float | None = None
    posterior_entropy: float | None = None
    posterior_nearest: float | None = None
    reflexflow_direction: float | None = None
    reflexflow_error: float | None = None
    reflexflow_spread: float | None = None
    seconds: float = math.nan
    elapsed: float = math.nan
    memory_mb: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record.

        Raises:
            ValueError: If it has no step.
        """
        return cls(
            step=fields.step(data),
            loss=fields.number(data, "loss"),
            loss_rolled=fields.optional(data, "loss_rolled"),
            loss_teacher_forced=fields.optional(data, "loss_teacher_forced"),
            lr=fields.number(data, "lr"),
            grad_norm=fields.number(data, "grad_norm"),
            probability=fields.number(data, "probability", 0.0),
            rolled=fields.count(data, "rolled"),
            items=fields.count(data, "items"),
            mean_offset=fields.number(data, "mean_offset", 0.0),
            max_offset=fields.count(data, "max_offset"),
            rollout_calls=fields.count(data, "rollout_calls"),
            rollout_forwards=fields.count(data, "rollout_forwards"),
            below_grid=fields.count(data, "below_grid"),
            trained_states=fields.count(data, "trained_states"),
            rollout_drift=fields.optional(data, "rollout_drift"),
            rollout_v=fields.optional(data, "rollout_v"),
            rollout_g2=fields.optional(data, "rollout_g2"),
            posterior_entropy=fields.optional(data, "posterior_entropy"),
            posterior_nearest=fields.optional(data, "posterior_nearest"),
            reflexflow_direction=fields.optional(data, "reflexflow_direction"),
            reflexflow_error=fields.optional(data, "reflexflow_error"),
            reflexflow_spread=fields.optional(data, "reflexflow_spread"),
            seconds=fields.number(data, "seconds"),
            elapsed=fields.number(data, "elapsed"),
            memory_mb=fields.optional(data, "memory_mb"),
        )

    def to_dict(self) -> dict[str, Any]:
        """What goes into the journal."""
        return asdict(self)


@dataclass(frozen=True)
class Event:
    """Something that happened once, a line of ``events.jsonl``.

    Attributes:
        time: Unix time.
        kind: A short name, for example ``exit``.
        text: One sentence.
        details: Whatever else the record holds.
    """

    time: float
    kind: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record.

        Raises:
            ValueError: If it has no kind.
        """
        kind, text = data.get("kind"), data.get("text")
        if not isinstance(kind, str):
            raise ValueError("an event must have a kind")
        rest = {key: value for key, value in data.items() if key not in ("time", "kind", "text")}
        return cls(fields.number(data, "time"), kind, text if isinstance(text, str) else "", rest)

    def to_dict(self) -> dict[str, Any]:
        """What goes into the journal."""
        return {"time": self.time, "kind": self.kind, "text": self.text, **self.details}


@runtime_checkable
class Record(Protocol):
    """What the three classes share."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record; raises ValueError where it lacks what it cannot do without."""
        ...


R = TypeVar("R", bound=Record)


def records_from(kind: type[R], rows: Iterable[Mapping[str, Any]]) -> list[R]:
    """Journal rows as typed records; a row that lacks what the record cannot do without is left out."""
    found: list[R] = []
    for row in rows:
        try:
            found.append(kind.from_dict(row))
        except ValueError:
            continue
    return found


def read_records(kind: type[R], path: Path) -> list[R]:
    """All records of a journal; empty where there is none yet."""
    return records_from(kind, journal.read_all(path))


def record_event(path: Path, kind: str, text: str, **details: Any) -> None:
    """Appends an event with the present time.

    Raises:
        RunError: If the journal cannot be written.
    """
    journal.append(path, Event(time.time(), kind, text, details).to_dict())
