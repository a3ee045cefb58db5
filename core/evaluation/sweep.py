"""Scores of finished runs on demand: the full measurement, and finished samples at other sampling steps and guidance.

What a run's ``drift.jsonl`` holds already is not measured again, so that a cut costs one measurement. A base model is
measured once for all runs whose base model, pictures and validation are equal.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from core.config.run import RunConfig
from core.evaluation.inspection import keep_in_run
from core.evaluation.subject import (
    OnStep,
    Subject,
    chain_at,
    chain_steps,
    full_steps,
    load_subject,
    measure_full,
    own_sampling,
)
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora, unload_lora
from core.noise.denoiser import evaluation_mode
from core.runs.drift import DriftRecord, Scope
from core.runs.folder import RunFolder
from core.runs.records import read_records
from core.samples.load import check_pictures

STEPS = (4, 8, 16, 28)
GUIDANCE = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Measure:
    """One measurement, told from others by everything that makes its numbers comparable.

    Attributes:
        scope: ``full`` or ``sweep``.
        base: whether the adapter is off.
        samples: that are scored.
        steps: sampling steps.
        guidance: 1 is none.
    """

    scope: Scope
    base: bool
    samples: int
    steps: int
    guidance: float


@dataclass(frozen=True)
class Work:
    """What a run lacks.

    Attributes:
        run: a finished run.
        wanted: measurements, the full ones first.
        missing: those of them that its journal does not hold.
    """

    run: RunFolder
    wanted: tuple[Measure, ...]
    missing: tuple[Measure, ...]


@dataclass
class Bases:
    """Measurements of base models, by what they depend on."""

    records: dict[tuple[str, Measure], DriftRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[RunFolder]) -> "Bases":
        """What the runs' journals hold."""
        found = cls()
        for run in runs:
            for record in read_records(DriftRecord, run.drift_path):
                measure = _measure_of(record)
                if measure is not None and measure.base:
                    found.keep(run.config(), measure, record)
        return found

    def keep(self, config: RunConfig, measure: Measure, record: DriftRecord) -> None:
        """Remembers one."""
        self.records[_key(config), measure] = record

    def find(self, config: RunConfig, measure: Measure) -> DriftRecord | None:
        """One that was made before."""
        return self.records.get((_key(config), measure))


def plan_work(
    run: RunFolder, *, steps: Sequence[int] = STEPS, guidance: Sequence[float] = GUIDANCE, samples: int | None = None
) -> Work:
    """What a finished run lacks: full records, then chain scores at each number of steps and at each guidance.

    Args:
        run: it has a final adapter.
        steps: sampling steps, without guidance.
        guidance: at the run's own sampling steps.
        samples: None for as many as while training.
    """
    config = run.config()
    count, own, none = own_sampling(config, samples)
    sampling = dict.fromkeys([*((each, none) for each in steps), *((own, float(each)) for each in guidance)])
    wanted = [Measure("full", base, count, own, none) for base in (True, False)]
    wanted += [Measure("sweep", base, count, *each) for each in sampling for base in (True, False)]
    last = config.training.max_train_steps
    records = read_records(DriftRecord, run.drift_path)
    there = {_measure_of(record) for record in records if record.base or record.step == last}
    return Work(run, tuple(wanted), tuple(each for each in wanted if each not in there))


def steps_of(works: Iterable[Work], bases: Bases) -> int:
    """Calls of ``on_step`` that the works take at the most, one after another."""
    total, seen = 0, set()
    for work in works:
        config = work.run.config()
        for each in work.missing:
            once = (_key(config), each)
            measured_before = each.base and (once in seen or bases.find(config, each) is not None)
            drawn_before = each == replace(each, scope="sweep", steps=own_sampling(config)[1], guidance=1.0)
            if not measured_before and not drawn_before:
                full = each.scope == "full"
                total += full_steps(config, each.samples) if full else chain_steps(each.samples, each.steps)
            seen.add(once)
    return total


def carry_out(work: Work, bases: Bases, subject: Subject, on_step: OnStep) -> Iterator[DriftRecord]:
    """Measures what is missing and appends each record to the run's journal at once.

    Args:
        work: of one run.
        bases: of base models; grows.
        subject: the run's base model without an adapter, as ``subject_for`` gives it.
        on_step: called at every forward; an exception that it raises ends the work.

    Yields:
        Each record, when it has been written.

    Raises:
        DataError: the adapter cannot be read or does not fit.
        RunError: the journal cannot be written.
    """
    config = work.run.config()
    load_lora(read_lora(work.run.adapter_dir), subject.family)
    try:
        with evaluation_mode(subject.family.network):
            for measure in work.missing:
                record = bases.find(config, measure) if measure.base else None
                if record is None:
                    record = _measured(subject, work.run, measure, on_step)
                if measure.base:
                    bases.keep(config, measure, record)
                keep_in_run(work.run, (record,))
                yield record
    finally:
        unload_lora(subject.family)


def subject_for(run: RunFolder, before: Subject | None) -> Subject:
    """The base model and pictures of a run: those of the run before where nothing differs.

    Raises:
        DataError: they cannot be read.
        RunError: the pictures are not those that the run was trained on.
    """
    config = run.config()
    check_pictures(run)
    if before is not None and _key(before.config) == _key(config):
        return replace(before, config=config)
    return load_subject(config, run.path)


def _measured(subject: Subject, run: RunFolder, measure: Measure, on_step: OnStep) -> DriftRecord:
    step = 0 if measure.base else subject.config.training.max_train_steps
    if measure.scope == "full":
        return measure_full(subject, base=measure.base, step=step, samples=measure.samples, on_step=on_step)
    began = time.perf_counter()
    chain = _known_chain(run, measure)
    if chain is None:
        with subject.state(measure.base):
            chain = chain_at(subject, measure.samples, measure.steps, measure.guidance, on_step)
    seconds = time.perf_counter() - began
    return DriftRecord(step=step, scope="sweep", base=measure.base, chain=chain, seconds=seconds)


def _known_chain(run: RunFolder, measure: Measure):
    """The scores of a full record that was drawn in the same way."""
    full = replace(measure, scope="full")
    records = reversed(read_records(DriftRecord, run.drift_path))
    return next((record.chain for record in records if _measure_of(record) == full), None)


def _measure_of(record: DriftRecord) -> Measure | None:
    """What a record answers; None for what is measured while training."""
    chain = record.chain
    if record.scope == "checkpoint" or chain is None:
        return None
    return Measure(record.scope, record.base, chain.samples, chain.inference_steps, chain.guidance)


def _key(config: RunConfig) -> str:
    """Everything that the numbers of a base model depend on; its text encoders work in the training's precision."""
    blocks = (config.model, config.data, config.validation)
    facts = [*(block.model_dump(mode="json") for block in blocks), config.training.mixed_precision]
    return json.dumps(facts, sort_keys=True)
