"""What is compared, and what may be concluded from it in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.cards import alarm_notes
from app.entries import Arm, Entry
from app.form import heading, to_input
from app.html import Level, checklist, empty, escape, paragraph, table
from app.journals import Journals, file_signature
from app.pictures import config_of
from app.workbench import Workbench
from core.config.flat import flatten
from core.config.spec import option_specs
from core.evaluation.verdict import Judgement, RunScores, View
from core.report.judged import judge_arms
from core.report.words import verdict_lines
from core.runs.experiment import Experiment, find_experiment
from core.runs.experiment_folder import ArmRun

MOST_RUNS = 6
"""Single runs beside each other; an experiment is shown whole."""
PROBLEMS_SHOWN = 4


@dataclass(frozen=True)
class Chosen:
    """What is compared.

    Attributes:
        entries: Runs and experiments as they were chosen.
        arms: All their trainings, with labels that tell them apart.
        runs: The same trainings as the statistics know them, in the same order.
        experiment: Set where it is one experiment and nothing else.
        left_out: Trainings beyond what is shown.
    """

    entries: tuple[Entry, ...]
    arms: tuple[Arm, ...]
    runs: tuple[ArmRun, ...]
    experiment: Experiment | None = None
    left_out: int = 0

    @property
    def key(self) -> str:
        """The choice as a text."""
        return " ".join(str(entry.selection) for entry in self.entries)

    @property
    def final(self) -> bool:
        """Whether nothing more will come by itself."""
        return all(entry.final for entry in self.entries)

    @property
    def records(self) -> str:
        """Changes whenever the numbers do; while a training goes on, only with its measurements."""
        paths = []
        for arm in self.arms:
            paths += [arm.folder.drift_path, arm.folder.events_path]
            paths += [arm.folder.metrics_path, arm.folder.config_path] if arm.state.final else []
        return f"{[arm.state.label for arm in self.arms]} {file_signature(*paths)}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the trainings."""
        return tuple(arm.label for arm in self.arms)

    @property
    def names(self) -> tuple[str, ...]:
        """Arms, each once, in their order."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))


def chosen_of(workbench: Workbench, picked: Sequence[str] | None) -> Chosen:
    """The chosen entries with all their trainings; what does not exist is left out."""
    entries = tuple(entry for name in picked or [] if (entry := workbench.entry(name)) is not None)
    if len(entries) == 1 and entries[0].selection.is_experiment:
        experiment = find_experiment(workbench.workspace, entries[0].selection.name)
        return Chosen(entries, entries[0].arms, experiment.arms, experiment)
    arms = []
    for entry in entries:
        name = entry.selection.name
        for arm in entry.arms:
            label = f"{name}: {arm.label}" if entry.selection.is_experiment else name
            arms.append(Arm(label, arm.folder, arm.state))
    runs = tuple(ArmRun(arm.label, arm.label, {}, arm.folder) for arm in arms[:MOST_RUNS])
    return Chosen(entries, tuple(arms[:MOST_RUNS]), runs, None, max(len(arms) - MOST_RUNS, 0))


def judgement_of(journals: Journals, chosen: Chosen, view: View) -> tuple[tuple[RunScores, ...], Judgement | None]:
    """Scores of every training, and what they say where it is an experiment whose arms differ as they declare."""
    scores = journals.scores(chosen.runs, view, chosen.records)
    if chosen.experiment is None:
        return scores, None
    return scores, judge_arms(chosen.runs, scores, chosen.experiment.primary)


def verdict_html(journals: Journals, chosen: Chosen) -> str:
    """What may be concluded, alarms, and what is missing."""
    scores, judgement = judgement_of(journals, chosen, "steps")
    if judgement is None:
        lines, problems = [_why_no_verdict(chosen)], [line for run in scores for line in run.problems]
    else:
        lines, problems = list(verdict_lines(judgement)), list(judgement.problems)
    running = [entry.title for entry in chosen.entries if not entry.final]
    wait = paragraph(f"Still training: {', '.join(running)}. Pictures and numbers follow.") if running else ""
    rest = chosen.left_out
    more = paragraph(f"{rest} more are chosen than fit beside each other: they are left out.") if rest else ""
    first, *others = lines
    said = "".join(f"<p>{escape(line)}</p>" for line in others)
    verdict = f'<div class="rw-verdict"><p><strong>{escape(first)}</strong></p>{said}</div>'
    return f"{verdict}{wait}{more}{alarm_notes(journals, chosen.arms)}{problems_html(problems)}"


def _why_no_verdict(chosen: Chosen) -> str:
    if len(chosen.runs) == 1:
        return "No verdict: one training alone. Choose an experiment, or two to six runs."
    return (
        "No verdict: these were not started as one experiment, so that nothing pairs them and nothing was declared. "
        "What they share and where they differ is listed below."
    )


def problems_html(problems: Sequence[str]) -> str:
    """What is missing or cannot be relied on; a long list is folded."""
    if not problems:
        return ""
    found: list[tuple[Level, str, str]] = [("warn", "", line) for line in problems]
    shown = checklist(found[:PROBLEMS_SHOWN])
    rest = found[PROBLEMS_SHOWN:]
    return shown + (f"<details><summary>{len(rest)} more notes</summary>{checklist(rest)}</details>" if rest else "")


def difference_html(chosen: Chosen) -> str:
    """Options in which the arms differ, a column an arm; what follows the training seed is no difference."""
    values: dict[str, list[Mapping[str, Any]]] = {}
    for run in chosen.runs:
        config = config_of(run.run)
        if config is not None:
            values.setdefault(run.arm, []).append(flatten(config))
    if len(values) < 2:
        return empty("Two or more arms are needed to differ.")
    rows = []
    for name, spec in option_specs().items():
        cells = [_cell([to_input(spec, flat[name]) for flat in flats]) for flats in values.values()]
        if len(set(cells)) > 1:
            rows.append([heading(spec), *cells])
    if not rows:
        return empty("The settings are the same.")
    return table(["Setting", *values], rows, "Settings that differ; all others are the same")


def _cell(found: Sequence[Any]) -> str:
    """The values of an arm's trainings, each once."""
    return ", ".join(dict.fromkeys(str(value) for value in found))
