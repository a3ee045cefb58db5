"""What each run of a comparison scored, and what it had cost until then, read from the run folders."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.evaluation.run_records import RunRecords, read_run
from core.runs.arms import REFERENCE, is_sweep
from core.runs.drift import DriftRecord
from core.runs.experiment_folder import ArmRun
from core.runs.folder import RunFolder
from core.runs.scores import SCORES

View = Literal["steps", "compute"]
SPENDER = "rollout"
"""The arm whose compute is the budget of its seed."""
TOLERANCE = 0.02
"""Of the budget: how far a run may be above it. Rollout lengths are drawn: equal compute is equal only on average."""


@dataclass(frozen=True)
class RunScores:
    """One run at the step at which it is compared.

    Attributes:
        arm: Its arm.
        label: What people read.
        seed: Training seed that pairs it with the other arms.
        run: Its folder.
        step: Optimizer steps at which it is compared; None where it was measured at no step that fits.
        values: Every score by name; NaN where it was not measured.
        seconds: Of training until that step; this and the next four are NaN where the run has no record of its steps.
        forwards: Items that went through the network without gradient until then.
        trained: States that were trained until then.
        compute: Forward equivalents until then: forwards + 3 * trained, 4 * trained with gradient checkpointing.
        peak_memory_mib: Until then; None where it was not measured.
        problems: What is missing or cannot be relied on, a sentence each.
        pending: Whether the run is neither done nor failed: its last word is still to come.
    """

    arm: str
    label: str
    seed: int
    run: RunFolder
    step: int | None
    values: Mapping[str, float]
    seconds: float = math.nan
    forwards: float = math.nan
    trained: float = math.nan
    compute: float = math.nan
    peak_memory_mib: float | None = None
    problems: tuple[str, ...] = ()
    pending: bool = False


def read_scores(arms: Sequence[ArmRun], *, view: View = "steps") -> tuple[RunScores, ...]:
    """Each run's scores and costs, in the order given. Nothing is interpolated: a run is read where it was measured.

    *Equal steps*: all runs that were planned as long as the reference (the arm "teacher-forced", else the first) are
    read at the planned last step as soon as one of them was measured there, those that were not have no scores; before
    that at the largest step at which all that were measured at all have a measurement. A run that was planned longer
    or shorter, as teacher forcing at equal compute is, is read at its own planned end: its number of steps is what it
    is about, and ``step`` says it.

    *Equal compute*: the budget of a seed is what its rollout run (of a sweep the reference, else the first arm that
    is not the reference) had spent at the step of the equal-steps view. Each other run of the seed is read at its
    last measurement within the budget, with a tolerance of 2 % or of one of its steps, whichever is more. A run
    that never spent as much, or was measured only well before, is read there, and its problems say so.

    A score comes from the full measurement if every run that is read at a step has it there and it was taken alike
    (samples, sampling steps, guidance, timesteps, pairs), else from the measurement of the checkpoint: one source for
    all runs.

    Args:
        arms: Those that are compared, of one experiment.
        view: Which question: the same number of steps, or the same compute.
    """
    runs = [read_run(arm) for arm in arms]
    steps = _equal_steps(runs)
    if view == "compute":
        steps = _equal_compute(runs, steps)
    return _scored(runs, steps)


def _equal_steps(runs: Sequence[RunRecords]) -> list[int | None]:
    reference = next((run for run in runs if run.arm.arm == REFERENCE), runs[0] if runs else None)
    planned = None if reference is None else reference.planned
    alike = [run for run in runs if run.planned in (planned, None)]
    common = _common_step(alike, planned)
    found = []
    for run in runs:
        step = common if run.planned in (planned, None) else run.planned
        if step is not None and step not in run.measured:
            _say_missing(run, step)
            step = None
        found.append(step)
    return found


def _common_step(runs: Sequence[RunRecords], planned: int | None) -> int | None:
    measured = [run.measured for run in runs if run.measured]
    if planned is not None and any(planned in steps for steps in measured):
        return planned
    common = set.intersection(*(set(steps) for steps in measured)) if measured else set()
    if measured and not common:
        for run in runs:
            run.problems.append(f"{run.name} was measured at no step that all runs share.")
    return max(common, default=None)


def _say_missing(run: RunRecords, step: int) -> None:
    if run.pending:  # what it waits for is said already
        return
    last = f"its last is at step {max(run.measured)}" if run.measured else "it has none yet"
    run.problems.append(f"{run.name} has no drift measurement at step {step}: {last}.")


def _equal_compute(runs: Sequence[RunRecords], steps: Sequence[int | None]) -> list[int | None]:
    names = [run.arm.arm for run in runs]
    others = (name for name in names if name != REFERENCE)
    if SPENDER in names:
        spender = SPENDER
    else:
        spender = REFERENCE if is_sweep(names) and REFERENCE in names else next(others, REFERENCE)
    budgets: dict[int, float] = {}
    for run, step in zip(runs, steps, strict=True):
        if run.arm.arm == spender and step is not None:
            budgets.setdefault(run.seed, run.costs_at(step).compute)
    return [
        step if run.arm.arm == spender else _step_within(run, budgets.get(run.seed, math.nan), spender)
        for run, step in zip(runs, steps, strict=True)
    ]


def _step_within(run: RunRecords, budget: float, spender: str) -> int | None:
    """The last measured step within the budget; None where there is none, or no budget."""
    if not math.isfinite(budget):
        run.problems.append(f"{run.name} has no budget of compute: the {spender} run of its seed is not measured yet.")
        return None
    spent = {step: run.costs_at(step) for step in run.measured}
    within = [step for step, costs in spent.items() if costs.compute <= budget + max(TOLERANCE * budget, costs.last)]
    if not within:
        run.problems.append(f"{run.name} has no drift measurement within the compute that {spender} spent.")
        return None
    step = max(within)
    if spent[step].compute < budget - max(TOLERANCE * budget, spent[step].last):
        share = f"{spent[step].compute / budget:.0%}".replace("%", " %")
        run.problems.append(f"{run.name} is read at step {step}, after {share} of the compute that {spender} spent.")
    return step


def _scored(runs: Sequence[RunRecords], steps: Sequence[int | None]) -> tuple[RunScores, ...]:
    scored = _of_one_material(runs, steps)
    full = [_record(run, step, "full") for run, step in zip(runs, scored, strict=True)]
    cheap = [_record(run, step, "checkpoint") for run, step in zip(runs, scored, strict=True)]
    _keep_alike(runs, cheap)
    wanted = [place for place, step in enumerate(scored) if step is not None]
    is_full = bool(wanted) and all(full[place] is not None for place in wanted)
    lacking = [place for place in wanted if full[place] is None]
    if is_full and len({_setting(full[place]) for place in wanted}) > 1:
        is_full = False
        _say_of_all(runs, wanted, "The full measurements were not all taken alike: the cheap ones are compared.")
    elif 0 < len(lacking) < len(wanted):
        some = f"{len(lacking)} of {len(wanted)} runs have no full measurement at their step"
        _say_of_all(runs, lacking, f"{some}, {runs[lacking[0]].name} first: the cheap ones are compared.")
    chosen = {name: full if is_full and _has_all(full, wanted, name) else cheap for name in SCORES}
    return tuple(
        _run_scores(run, steps[place], {name: _value(source[place], name) for name, source in chosen.items()})
        for place, run in enumerate(runs)
    )


def _of_one_material(runs: Sequence[RunRecords], steps: Sequence[int | None]) -> list[int | None]:
    """The steps of the runs whose samples are held against the same latents as the first's; says so of the others."""
    first = next((run.material for run in runs if run.material), {})
    found = []
    for run, step in zip(runs, steps, strict=True):
        other = [name for name, value in run.material.items() if value != first[name]]
        if other and step is not None:
            run.problems.append(
                f"{run.name} was trained with another {', '.join(other)}: its samples are held against other latents, "
                "and it has no scores here."
            )
        found.append(None if other else step)
    return found


def _say_of_all(runs: Sequence[RunRecords], places: Sequence[int], sentence: str) -> None:
    """One sentence about several runs; a judgement repeats it once."""
    for place in places:
        runs[place].problems.append(sentence)


def _record(run: RunRecords, step: int | None, scope: Literal["full", "checkpoint"]) -> DriftRecord | None:
    return None if step is None else run.drift.get((step, scope))


def _keep_alike(runs: Sequence[RunRecords], records: list[DriftRecord | None]) -> None:
    """Drops the records that were taken otherwise than the first; says so."""
    first = next((record for record in records if record is not None), None)
    for place, record in enumerate(records):
        if record is not None and _setting(record) != _setting(first):
            records[place] = None
            runs[place].problems.append(
                f"{runs[place].name} was measured with other samples, timesteps or pairs: it has no scores here."
            )


def _setting(record: DriftRecord | None) -> tuple[object, ...]:
    """What must be equal for two measurements to be compared."""
    if record is None:
        return ()
    chain = record.chain
    drawn = () if chain is None else (chain.samples, chain.inference_steps, chain.guidance)
    return (drawn, record.grid, record.pairs)


def _has_all(records: Sequence[DriftRecord | None], places: Sequence[int], name: str) -> bool:
    return all(math.isfinite(_value(records[place], name)) for place in places)


def _value(record: DriftRecord | None, name: str) -> float:
    return math.nan if record is None else SCORES[name].value(record)


def _run_scores(run: RunRecords, step: int | None, values: Mapping[str, float]) -> RunScores:
    costs = run.costs_at(step)
    lacking = 0 if step is None else run.lacking(step)
    if lacking > 0:
        effect = "not known" if math.isnan(costs.compute) else "too low"
        run.problems.append(f"{run.name}: {lacking} of {step} steps are not recorded; its costs are {effect}.")
    return RunScores(
        run.arm.arm, run.arm.label, run.seed, run.arm.run, step, values, costs.seconds, costs.forwards, costs.trained,
        costs.compute, costs.peak_memory_mib, tuple(run.problems), run.pending,
    )  # fmt: skip
