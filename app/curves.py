"""What is compared as plots: curves over steps, compute or time, scores against cost, differences, and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.charts import live_plots
from app.comparison import Chosen, judgement_of
from app.html import empty, figures
from app.pictures import config_of
from app.workbench import Workbench
from core.evaluation.run_records import BACKWARD, BACKWARD_CHECKPOINTED
from core.evaluation.verdict import View
from core.plots import PLOTS
from core.plots.axes import Unit, against
from core.runs.drift import DriftRecord
from core.runs.records import StepRecord

FIRST = ("chain_v", "chain_diversity", "drift_m1", "loss", "rollout_drift", "probability")
FRONTIERS = ("frontier_seconds", "frontier_forwards")
SWEEPS = ("sweep_steps", "sweep_guidance")


def curves_html(workbench: Workbench, chosen: Chosen, unit: Unit) -> str:
    """Every plot over the training that there is something to draw in, a curve a training, grouped by arm."""
    steps, drift = _steps(workbench, chosen), _drift(workbench, chosen)
    backward = _backward(chosen)

    def series(name: str) -> Mapping[str, Sequence[Any]]:
        records: Mapping[str, Sequence[Any]] = steps if PLOTS[name].records == "steps" else drift
        return against(records, steps, unit, backward=backward)

    names = (*FIRST, *live_plots(steps), "drift_m1_timestep")
    return figures(_show(workbench, chosen, name, unit, lambda name=name: series(name)) for name in names)


def frontiers_html(workbench: Workbench, chosen: Chosen, view: View) -> str:
    """The declared score against what it cost, and every arm's differences from the reference."""
    scores, judgement = judgement_of(workbench.journals, chosen, view)
    if judgement is None:
        return empty("Scores against cost are drawn for an experiment, whose score was declared before training.")
    by_run = {run.run.name: [run] for run in scores}
    shown = [_show(workbench, chosen, name, view, lambda: by_run, score=judgement.primary) for name in FRONTIERS]
    arms = dict.fromkeys(comparison.arm for comparison in judgement.comparisons)
    by_arm = {arm: [one for one in judgement.comparisons if one.arm == arm] for arm in arms}
    return figures([*shown, _show(workbench, chosen, "differences", view, lambda: by_arm)])


def sweeps_html(workbench: Workbench, chosen: Chosen) -> str:
    """Scores against sampling steps and guidance; empty where none was measured."""
    drift = _drift(workbench, chosen)
    if not any(record.scope == "sweep" for records in drift.values() for record in records):
        return ""
    return figures(_show(workbench, chosen, name, "", lambda: drift) for name in SWEEPS)


def _show(
    workbench: Workbench,
    chosen: Chosen,
    name: str,
    way: str,
    series: Callable[[], Mapping[str, Sequence[Any]]],
    **options: Any,
) -> str:
    signature = f"{chosen.key} {chosen.records}"
    subject = f"{chosen.key} {way}"
    return workbench.charts.show(name, subject, signature, series, live=not chosen.final, **options)[0]


def _steps(workbench: Workbench, chosen: Chosen) -> dict[str, list[StepRecord]]:
    return {arm.label: workbench.journals.steps(arm.folder.metrics_path) for arm in chosen.arms}


def _drift(workbench: Workbench, chosen: Chosen) -> dict[str, list[DriftRecord]]:
    return {arm.label: workbench.journals.drift(arm.folder.drift_path) for arm in chosen.arms}


def _backward(chosen: Chosen) -> float:
    """Forward equivalents of a trained state, which all trainings of an experiment share."""
    config = config_of(chosen.arms[0].folder) if chosen.arms else None
    is_checkpointed = config is not None and config.training.gradient_checkpointing
    return BACKWARD_CHECKPOINTED if is_checkpointed else BACKWARD
