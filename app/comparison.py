"""Several trainings in words and numbers: what may be concluded, last values, curves, settings that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from app.entries import Arm, Entry
from app.form import heading, to_input
from app.html import empty, escape, figures, paragraph, table
from app.pictures import config_of_arm
from app.sentences import LOOK_FOR
from app.view import duration
from app.workbench import Workbench
from core.config.flat import flatten
from core.config.spec import option_specs

PLOTS_SHOWN = ("drift_m1", "drift_v", "rollout_drift", "loss", "probability", "drift_m1_timestep")
MOST_ARMS = 6
LAST = 50
"""Steps over which the final loss is taken."""


def arms_of(workbench: Workbench, picked: Sequence[str] | None) -> tuple[list[Entry], list[Arm]]:
    """The chosen entries and all their trainings, with labels that tell them apart."""
    entries = [entry for name in picked or [] if (entry := workbench.entry(name)) is not None]
    if len(entries) == 1:
        return entries, list(entries[0].arms)[:MOST_ARMS]
    arms = []
    for entry in entries:
        for arm in entry.arms:
            label = f"{entry.selection.name}: {arm.label}" if entry.selection.is_experiment else entry.selection.name
            arms.append(Arm(label, arm.folder, arm.state))
    return entries, arms[:MOST_ARMS]


def verdict_html(entries: Sequence[Entry], arms: Sequence[Arm]) -> str:
    """What may be concluded, and what to look for."""
    seeds = {config.training.seed for arm in arms if (config := config_of_arm(arm)) is not None}
    count = len(seeds)
    running = [entry.title for entry in entries if not entry.final]
    if count == 1:
        verdict = "Illustration: one training seed, no verdict. A verdict needs six seeds or more of each arm."
    elif count < 6:
        verdict = f"Exploratory: {count} training seeds, no verdict. A verdict needs six seeds or more of each arm."
    else:
        verdict = "These runs were not started as one experiment over seeds: no verdict is drawn from them."
    wait = paragraph(f"Still training: {', '.join(running)}. Pictures and numbers follow.") if running else ""
    return f'<div class="rw-verdict"><p><strong>{escape(verdict)}</strong></p><p>{escape(LOOK_FOR)}</p></div>{wait}'


def numbers_html(workbench: Workbench, arms: Sequence[Arm]) -> str:
    """The last values of each arm, with what they cost."""
    probes = {
        arm.label: {
            record.step: record for record in workbench.journals.drift(arm.folder.drift_path) if not record.base
        }
        for arm in arms
    }
    common = set.intersection(*(set(steps) for steps in probes.values()))
    at = max(common) if common else None
    head = [
        "Arm",
        f"M1 at step {at} (relative rms)" if common else "M1 (relative rms)",
        f"V at step {at} (log ratio)" if common else "V (log ratio)",
        "V minus the first arm's",
        f"Loss, mean of the last {LAST} steps",
        "Seconds per step",
        "Training time",
        "Extra forwards (items)",
    ]
    rows = []
    for arm in arms:
        steps = workbench.journals.steps(arm.folder.metrics_path)
        probe, first = (probes[arm.label][at], probes[arms[0].label][at]) if at is not None else (None, None)
        seconds = [record.seconds for record in steps if math.isfinite(record.seconds)]
        rows.append(
            [
                arm.label,
                _digits(probe.m1_mean) if probe else "not yet",
                _digits(probe.v_end) if probe else "not yet",
                "reference"
                if arm is arms[0]
                else (_digits(probe.v_end - first.v_end) if probe and first else "not yet"),
                _digits(_mean([record.loss for record in steps[-LAST:] if math.isfinite(record.loss)])),
                _digits(_mean(seconds)),
                duration(sum(seconds)),
                str(sum(record.rollout_forwards for record in steps)),
            ]
        )
    return table(
        head,
        rows,
        "Drift at the last step that all arms have. Rolled items have another target: losses of two arms don't compare",
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _digits(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not yet"


def curves_html(workbench: Workbench, arms: Sequence[Arm], subject: str, signature: str) -> str:
    """All arms overlaid."""
    journals, shown = workbench.journals, []
    for name in PLOTS_SHOWN:
        if name.startswith("drift"):
            series: Any = {arm.label: journals.drift(arm.folder.drift_path) for arm in arms}
        else:
            series = {arm.label: journals.steps(arm.folder.metrics_path) for arm in arms}
        shown.append(workbench.charts.show(name, subject, f"{subject} {signature}", lambda series=series: series)[0])
    return figures(shown)


def difference_html(arms: Sequence[Arm]) -> str:
    """Options in which the configs differ."""
    configs = [(arm.label, config) for arm in arms if (config := config_of_arm(arm)) is not None]
    if len(configs) < 2:
        return empty("Two or more runs are needed to differ.")
    flat = [flatten(config) for _, config in configs]
    specs = option_specs()
    rows = [
        [heading(spec), *(str(to_input(spec, values[name])) for values in flat)]
        for name, spec in specs.items()
        if any(values[name] != flat[0][name] for values in flat)
    ]
    if not rows:
        return empty("The settings are the same.")
    return table(["Setting", *(label for label, _ in configs)], rows, "Settings that differ; all others are the same")
