"""What the journals hold, typed. One class a journal; a record of an older or newer writer still reads.

NaN stands for a number that was not finite when it was written (the journal has null there).
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from core.runs import journal
from core.runs.files import is_number


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
        items: Items of the step.
        mean_offset: Mean of k over all items, in rollout steps.
        max_offset: Largest k.
        rollout_calls: Model calls that the rollouts took.
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
        memory_mb: Peak memory in MiB.
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
            step=_step(data),
            loss=_number(data, "loss"),
            loss_rolled=_optional(data, "loss_rolled"),
            loss_teacher_forced=_optional(data, "loss_teacher_forced"),
            lr=_number(data, "lr"),
            grad_norm=_number(data, "grad_norm"),
            probability=_number(data, "probability", 0.0),
            rolled=_count(data, "rolled"),
            items=_count(data, "items"),
            mean_offset=_number(data, "mean_offset", 0.0),
            max_offset=_count(data, "max_offset"),
            rollout_calls=_count(data, "rollout_calls"),
            rollout_forwards=_count(data, "rollout_forwards"),
            below_grid=_count(data, "below_grid"),
            trained_states=_count(data, "trained_states"),
            rollout_drift=_optional(data, "rollout_drift"),
            rollout_v=_optional(data, "rollout_v"),
            rollout_g2=_optional(data, "rollout_g2"),
            posterior_entropy=_optional(data, "posterior_entropy"),
            posterior_nearest=_optional(data, "posterior_nearest"),
            reflexflow_direction=_optional(data, "reflexflow_direction"),
            reflexflow_error=_optional(data, "reflexflow_error"),
            reflexflow_spread=_optional(data, "reflexflow_spread"),
            seconds=_number(data, "seconds"),
            elapsed=_number(data, "elapsed"),
            memory_mb=_optional(data, "memory_mb"),
        )

    def to_dict(self) -> dict[str, Any]:
        """What goes into the journal."""
        return asdict(self)


@dataclass(frozen=True)
class DriftRecord:
    """One paired probe, a line of ``drift.jsonl``.

    Attributes:
        step: Optimizer steps taken before the probe.
        grid: Timesteps of the probe, in their stored order.
        m1: M1 per target timestep.
        v: V per target timestep.
        m1_mean: Mean of ``m1``.
        v_end: V at the end of the chain.
        base: Whether the LoRA was off: the base model's own drift, for reference.
        pairs: How many pairs the probe used.
        seconds: What it took.
    """

    step: int
    grid: tuple[float, ...] = ()
    m1: tuple[float, ...] = ()
    v: tuple[float, ...] = ()
    m1_mean: float = math.nan
    v_end: float = math.nan
    base: bool = False
    pairs: int = 0
    seconds: float = math.nan

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record.

        Raises:
            ValueError: If it has no step.
        """
        return cls(
            step=_step(data),
            grid=_numbers(data, "grid"),
            m1=_numbers(data, "m1"),
            v=_numbers(data, "v"),
            m1_mean=_number(data, "m1_mean"),
            v_end=_number(data, "v_end"),
            base=data.get("base") is True,
            pairs=_count(data, "pairs"),
            seconds=_number(data, "seconds"),
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
        return cls(_number(data, "time"), kind, text if isinstance(text, str) else "", rest)

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


def _step(data: Mapping[str, Any]) -> int:
    value = data.get("step")
    if not is_number(value) or not math.isfinite(value):
        raise ValueError("a record must have a step")
    return int(value)


def _number(data: Mapping[str, Any], key: str, default: float = math.nan) -> float:
    value = data.get(key)
    return float(value) if is_number(value) else default


def _optional(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return float(value) if is_number(value) else None


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return int(value) if is_number(value) and math.isfinite(value) else 0


def _numbers(data: Mapping[str, Any], key: str) -> tuple[float, ...]:
    value = data.get(key)
    if not isinstance(value, list):
        return ()
    return tuple(float(item) if is_number(item) else math.nan for item in value)
