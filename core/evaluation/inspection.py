"""An inspection: the audit of a LoRA, every drift metric of base and adapter, and film strips of their paths."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, runtime_checkable

from core.config.run import RunConfig
from core.errors import RunError
from core.evaluation import strips
from core.evaluation.subject import PAIRS, Subject, full_steps, load_subject, measure_full, samples_of
from core.models.lora_audit import Audit
from core.models.lora_file import LoraFile, read_lora
from core.models.lora_fit import audit, load_lora, misfits, missing_parts
from core.noise.denoiser import evaluation_mode
from core.runs import journal
from core.runs.alarms import Alarm, alarms_at, alarms_of, record_alarms, reference_of
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.inspection import Inspection, Strip, What, Which, finish_inspection
from core.runs.records import read_records
from core.runs.status import Phase, derive_state
from core.samples.load import check_finished, check_pictures


@runtime_checkable
class Reporter(Protocol):
    """Who is told how far the work is, and who can end it by raising."""

    def phase(self, phase: Phase, message: str, total: int = 0, unit: str = "it") -> None:
        """A new phase begins."""
        ...

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done."""
        ...

    def check(self) -> None:
        """A sign of life, and the place to stop."""
        ...


@dataclass(frozen=True)
class Target:
    """What is inspected.

    Attributes:
        what: a run, a LoRA file or a base model.
        name: of the run, path of the file, or ``base``.
        config: the run's own, or what lends base model, pictures and prompts.
        run: the run, if it is one.
        lora: its adapter or the file; None for a base model.
        step: of the adapter's record: the run's last step, 0 for a file.
    """

    what: What
    name: str
    config: RunConfig
    run: RunFolder | None = None
    lora: LoraFile | None = None
    step: int = 0


def run_target(run: RunFolder, name: str) -> Target:
    """A finished run.

    Raises:
        RunError: it has no final adapter, or is in progress, so that its journal is not ours to write.
        DataError: its adapter cannot be read.
    """
    check_finished(run)
    state = derive_state(run)
    if state.live and not state.final:
        raise RunError(f"{run.name} must be a run that is not in progress; wait for it or stop it")
    config = run.config()
    return Target("run", name, config, run, read_lora(run.adapter_dir), config.training.max_train_steps)


def inspect(
    target: Target, out: RunFolder, report: Reporter, *, pairs: int = strips.PAIRS, samples: int | None = None
) -> Inspection:
    """Does it all, and writes the folder.

    Args:
        target: what is inspected.
        out: the inspection's folder, begun by ``begin_inspection``.
        report: told at every forward; what it raises ends the inspection, and the folder stays unfinished.
        pairs: whose film strips are drawn.
        samples: finished samples that are scored; None for as many as while training.

    Raises:
        DataError: the LoRA does not fit the base model, with its keys; the audit is written all the same. Or base
            model or pictures cannot be read.
        RunError: the pictures are not those that the run was trained on, or something cannot be written.
    """
    report.phase("loading", "loading the base model and the pictures")
    if target.run is not None:
        check_pictures(target.run)
    subject = load_subject(target.config, out.path)
    found = _begun(target, out, subject)
    if target.lora is not None:
        problems = misfits(target.lora, subject.family)
        if problems:
            finish_inspection(replace(found, problems=tuple(map(str, problems))), ())
        load_lora(target.lora, subject.family)
    count = samples_of(target.config) if samples is None else samples
    records, drawn = _measured(subject, target, out, report, pairs, count)
    report.phase("saving", "writing what was found")
    clean = tuple(strips.save_clean(subject, pairs, out))
    done = replace(
        found, created=time.time(), facts=_facts(subject, target, pairs, count), clean=clean, strips=tuple(drawn)
    )
    finish_inspection(done, records)
    if target.run is not None:
        keep_in_run(target.run, records)
    return done


def _begun(target: Target, out: RunFolder, subject: Subject) -> Inspection:
    """What is known before anything is measured."""
    lora, looked_at, notes = target.lora, None, ()
    if lora is not None:
        looked_at = audit(lora)
        notes = _notes(looked_at, missing_parts(lora, subject.family))
    return Inspection(
        folder=out, what=target.what, target=target.name, created=time.time(),
        base_model=target.config.model.pretrained_model_name_or_path,
        adapter=None if lora is None else str(lora.path), facts={}, audit=looked_at, notes=notes,
    )  # fmt: skip


def _notes(found: Audit, absent: tuple[str, ...]) -> tuple[str, ...]:
    """What people should know about a LoRA that can be used all the same."""
    said = [
        f"the base model has no {part}: the LoRA's {found.parts[part]} modules for it were left out" for part in absent
    ]
    if found.non_finite:
        said.append(f"{len(found.non_finite)} of its matrices hold NaN or infinity, {found.non_finite[0]} first")
    if found.zero:
        said.append(f"{len(found.zero)} of its {found.modules} modules change nothing")
    return tuple(said)


def _facts(subject: Subject, target: Target, pairs: int, samples: int) -> dict[str, Any]:
    material, validation = subject.material(), subject.config.validation
    return {
        "kind": subject.family.kind,
        "grid": material.grid.tolist(),
        "pairs": len(material.clean),
        "strip_pairs": pairs,
        "samples": samples,
        "inference_steps": validation.validation_num_inference_steps,
        "guidance": 1.0,
        "seed": validation.validation_seed,
        "m2": material.training.float().square().mean().item(),
        "pictures": len(material.training),
        "prompts": list(subject.pictures.prompts),
        "resolution": subject.config.data.resolution,
        "step": target.step,
    }


def _measured(
    subject: Subject, target: Target, out: RunFolder, report: Reporter, pairs: int, samples: int
) -> tuple[tuple[DriftRecord, ...], list[Strip]]:
    """A record and the strips of the base model, and of the adapter where there is one."""
    whiches: list[Which] = ["base"] if target.lora is None else ["base", "adapter"]
    points = len(subject.grid)
    total = len(whiches) * (full_steps(subject.config, samples) + strips.film_steps(points))
    records, drawn = [], []
    pairs = min(pairs, PAIRS)
    with evaluation_mode(subject.family.network), _counted(report, total) as on_step:
        for which in whiches:
            base = which == "base"
            step = 0 if base else target.step
            records.append(measure_full(subject, base=base, step=step, samples=samples, on_step=on_step))
            found = strips.films(subject, base=base, pairs=pairs, on_step=on_step)
            drawn += strips.save_films(subject, found, which, out)
    return tuple(records), drawn


class _Count:
    """Counts forwards; the report writes a file at every change, so that it is told of hundredths only."""

    def __init__(self, report: Reporter, total: int):
        self.report, self.total, self.done, self.told = report, total, 0, 0

    def __call__(self) -> None:
        self.done = min(self.done + 1, self.total)
        hundredths = 100 * self.done // self.total
        if hundredths > self.told:
            self.told = hundredths
            self.report.progress(self.done, self.total)
        else:
            self.report.check()


@contextmanager
def _counted(report: Reporter, total: int) -> Iterator[_Count]:
    report.phase("sampling", "measuring drift", total, "forward")
    yield _Count(report, total)
    report.progress(total, total)  # a short grid takes fewer forwards than were planned


def keep_in_run(run: RunFolder, records: tuple[DriftRecord, ...]) -> None:
    """Appends records to a run's journal, and the alarms that they give cause for to its events.

    Raises:
        RunError: they cannot be written.
    """
    for record in records:
        journal.append(run.drift_path, record.to_dict())
    known = read_records(DriftRecord, run.drift_path)
    for step in sorted({record.step for record in records if not record.base}):
        record_alarms(run, known, step)


def alarms_found(target: Target, records: tuple[DriftRecord, ...]) -> tuple[Alarm, ...]:
    """The alarms at the adapter's step: against teacher forcing where that was measured, else the base model."""
    if target.run is not None:
        reference = reference_of(target.run)
        beside = [] if reference is None else read_records(DriftRecord, reference.drift_path)
        return tuple(alarm for alarm in alarms_of(records, beside) if alarm.step == target.step)
    base, *own = records
    return tuple(alarm for record in own for alarm in alarms_at(record, base, "the base model"))


def as_json(found: Inspection, records: tuple[DriftRecord, ...]) -> dict[str, Any]:
    """Everything, for programs."""
    rows = [asdict(record) for record in records]
    return {"folder": str(found.folder.path), **found.to_dict(), "records": rows}
