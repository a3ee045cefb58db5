"""An experiment with its scores and what may be concluded from them: the command line and the report say the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.config.flat import difference
from core.config.run import RunConfig
from core.config.spec import show_value
from core.errors import WorkbenchError
from core.evaluation.verdict import Judgement, RunScores, Verdict, View, judge, read_scores
from core.runs.arms import REFERENCE
from core.runs.experiment_folder import ArmRun, Experiment
from core.runs.folder import RunFolder

REFUSED = Verdict("nothing", "No verdict: the arms differ in more than they declare.", None, None)


@dataclass(frozen=True)
class Judged:
    """What an experiment found.

    Attributes:
        view: Whether runs are compared at equal steps or at equal compute.
        runs: The scores of each run, in the experiment's order.
        judgement: On the score that was declared before training.
    """

    view: View
    runs: tuple[RunScores, ...]
    judgement: Judgement


def judge_experiment(experiment: Experiment, view: View = "steps") -> Judged:
    """Reads and judges an experiment as it lies there."""
    runs = read_scores(experiment.arms, view=view)
    return Judged(view, runs, judge_arms(experiment.arms, runs, experiment.primary))


def judge_arms(arms: Sequence[ArmRun], runs: Sequence[RunScores], primary: str) -> Judgement:
    """Judges an experiment's scores; arms that differ in more than they declare get no verdict and no comparison.

    Args:
        arms: Of the experiment.
        runs: Their scores.
        primary: The score that was declared.
    """
    judgement = judge(runs, primary=primary)
    refused = undeclared(arms)
    if refused:
        return Judgement(primary, judgement.reference, REFUSED, (), (*refused, *judgement.problems))
    return replace(judgement, problems=(*unreadable(arms), *judgement.problems))


def undeclared(arms: Sequence[ArmRun]) -> list[str]:
    """A sentence for each run that differs from its seed's reference in more than the two declare."""
    references = {arm.seed: arm for arm in arms if arm.arm == REFERENCE}
    found = []
    for arm in arms:
        beside = references.get(arm.seed)
        own, other = _config(arm.run), None if beside is None else _config(beside.run)
        if beside is None or own is None or other is None:
            continue
        foreign = {
            name: pair for name, pair in difference(other, own).items() if name not in {*arm.changes, *beside.changes}
        }
        if foreign:
            told = "; ".join(f"{name} {show_value(a)} → {show_value(b)}" for name, (a, b) in foreign.items())
            found.append(f"{arm.run.name} must differ from {beside.run.name} as declared only, got {told}.")
    return found


def unreadable(arms: Sequence[ArmRun]) -> list[str]:
    """A sentence for each run whose config cannot be read, so that nobody knows in what it differs."""
    return [f"{arm.run.name} has no config that can be read." for arm in arms if _config(arm.run) is None]


def _config(run: RunFolder) -> RunConfig | None:
    try:
        return run.config()
    except WorkbenchError:
        return None
