"""What a report says in numbers, for other programs: CSV and JSON."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.evaluation.verdict import Judgement, RunScores
from core.report.facts import portable
from core.runs.files import to_json
from core.runs.scores import SCORES


def data_files(runs: Sequence[RunScores], judgement: Judgement) -> dict[str, str]:
    """File name to content; a number that was not measured is empty in CSV and null in JSON."""
    scores = [
        [run.arm, run.seed, run.run.name, run.step, name, score.unit, run.values.get(name, math.nan)]
        for run in runs
        for name, score in SCORES.items()
    ]
    costs = [[run.arm, run.seed, run.run.name, run.step, *_costs(run).values()] for run in runs]
    comparisons = [
        [
            found.arm, found.reference, found.score, SCORES[found.score].unit, len(found.seeds), found.mean, found.sd,
            *(found.interval if found.interval is not None else (None, None)), found.p, found.p_holm,
        ]
        for found in judgement.comparisons
    ]  # fmt: skip
    place, names = ["arm", "seed", "run", "step"], ["seconds", "forwards", "trained", "compute", "peak_memory_mib"]
    about = ["arm", "reference", "score", "unit", "seeds", "mean", "sd", "low", "high", "p", "p_holm"]
    return {
        "scores.csv": _csv([*place, "score", "unit", "value"], scores),
        "costs.csv": _csv([*place, *names], costs),
        "comparisons.csv": _csv(about, comparisons),
        "scores.json": to_json([run_facts(run) for run in runs], indent=2),
        "judgement.json": to_json(judgement_facts(judgement), indent=2),
    }


def run_facts(run: RunScores) -> dict[str, Any]:
    """One run's scores and costs out of what JSON has."""
    facts = {"arm": run.arm, "label": run.label, "seed": run.seed, "run": run.run.name, "step": run.step}
    problems = [portable(problem) for problem in run.problems]
    return {**facts, "scores": dict(run.values), **_costs(run), "problems": problems}


def judgement_facts(judgement: Judgement) -> dict[str, Any]:
    """Verdict and comparisons out of what JSON has."""
    facts = asdict(judgement)
    facts["problems"] = [portable(problem) for problem in judgement.problems]
    return facts


def _costs(run: RunScores) -> Mapping[str, Any]:
    return {
        "seconds": run.seconds,
        "forwards": run.forwards,
        "trained": run.trained,
        "compute": run.compute,
        "peak_memory_mib": run.peak_memory_mib,
    }


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if _is_missing(cell) else cell for cell in row] for row in rows])
    return text.getvalue()


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))
