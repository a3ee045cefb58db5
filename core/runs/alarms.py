"""Drift alarms: a training whose samples shrink or grow alike beside its reference at the same step.

The limits are those that rollout must not pass: V more than 5 % below, diversity more than 10 % below, the
teacher-forced arm's at the same step, or the base model's where there is no such arm.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import Event, read_records, record_event
from core.runs.workspace import is_slug

V_LIMIT = math.log(0.95)
"""Nats."""
DIVERSITY_LIMIT = 0.9
"""As a share of the reference's."""
ROUNDING = 1e-9
"""How far beyond a limit a number may lie that is meant to lie on it."""
KIND = "drift_alarm"
SAMPLE_KIND = "sample_alarm"
"""Of an event that a sample shows nothing."""


@dataclass(frozen=True)
class Alarm:
    """One limit that was passed.

    Attributes:
        step: Of the measurement.
        metric: ``v_end`` or ``diversity``.
        change: Relative to the reference, below 0; -0.07 is 7 % below.
        reference: What it was read against, in words.
    """

    step: int
    metric: str
    change: float
    reference: str

    @property
    def text(self) -> str:
        """One sentence."""
        what, effect = {
            "v_end": ("V", "its samples shrink"),
            "diversity": ("Diversity", "its samples grow alike"),
        }[self.metric]
        return f"{what} at step {self.step} is {-self.change:.1%} below {self.reference}: {effect}".replace("%", " %")


def alarms_at(record: DriftRecord, reference: DriftRecord, name: str) -> tuple[Alarm, ...]:
    """The limits that a measurement passes; none where either has no samples.

    Args:
        record: Of the run.
        reference: Of the teacher-forced arm at the same step, or of the base model.
        name: What the reference is, in words.
    """
    found = []
    shrunk = record.v_end - reference.v_end
    if shrunk < V_LIMIT - ROUNDING:
        found.append(Alarm(record.step, "v_end", math.expm1(shrunk), name))
    if record.diversity < (DIVERSITY_LIMIT - ROUNDING) * reference.diversity:
        found.append(Alarm(record.step, "diversity", record.diversity / reference.diversity - 1, name))
    return tuple(found)


def reference_of(folder: RunFolder) -> RunFolder | None:
    """The teacher-forced arm that a run is read against: the sibling that ``run.json`` names.

    None without one, and where the name is the run's own, is no plain folder name, or leads out of the experiment.
    """
    name = folder.meta().get("reference")
    if not isinstance(name, str) or not is_slug(name) or name == folder.name:
        return None
    path = folder.path.parent / name
    return None if os.path.islink(path) else RunFolder(path)


def alarms_of(
    records: Sequence[DriftRecord], reference: Iterable[DriftRecord], name: str = "teacher forcing"
) -> tuple[Alarm, ...]:
    """All alarms of a run's measurements, step by step: against the reference at the same step, else the base model.

    Only what was sampled alike is compared: as many samples, with the same sampling steps and guidance.

    Args:
        records: Of the run, those of the base model among them.
        reference: Of the teacher-forced arm; may be empty.
        name: What the reference is, in words.
    """
    beside = {_sampling(other): other for other in reference if not other.base}
    bases = {_sampling(record)[1:]: record for record in records if record.base}
    found: dict[tuple[int, str], Alarm] = {}
    for record in records:
        if record.base or record.chain is None or record.scope == "sweep" or record.step == 0:
            continue
        other, base = beside.get(_sampling(record)), bases.get(_sampling(record)[1:])
        if other is not None:
            fresh = alarms_at(record, other, name)
        elif base is not None:
            fresh = alarms_at(record, base, "the base model")
        else:
            fresh = ()
        found |= {(alarm.step, alarm.metric): alarm for alarm in fresh}
    return tuple(found.values())


def record_alarms(folder: RunFolder, records: Sequence[DriftRecord], step: int) -> tuple[Alarm, ...]:
    """Writes the alarms of a step into the run's events.

    Args:
        folder: Of the run.
        records: Its measurements so far.
        step: The one that was just measured.

    Raises:
        RunError: If they cannot be written.
    """
    reference = reference_of(folder)
    beside = [] if reference is None else read_records(DriftRecord, reference.drift_path)
    known = {(event.details.get("step"), event.details.get("metric")) for event in read_alarm_events(folder)}
    fresh = [alarm for alarm in alarms_of(records, beside) if alarm.step == step]
    for alarm in fresh:
        if (alarm.step, alarm.metric) not in known:
            record_event(folder.events_path, KIND, alarm.text, step=step, metric=alarm.metric, change=alarm.change)
    return tuple(fresh)


def read_alarm_events(folder: RunFolder) -> list[Event]:
    """The alarms that a run's events hold."""
    return [event for event in read_records(Event, folder.events_path) if event.kind == KIND]


def _sampling(record: DriftRecord) -> tuple[object, ...]:
    """What must be equal for two measurements' samples to be compared."""
    chain = record.chain
    return (record.step, *((chain.samples, chain.inference_steps, chain.guidance) if chain is not None else ()))
