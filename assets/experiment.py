"""Trains, scores and writes the experiment of docs/experiment.md: ``python -m assets.experiment``.

Arms, seeds, score and sampling are fixed here, before any training. What is there already is kept: a cut is resumed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.errors import RunError
from core.report.export import export_report
from core.report.judged import Judged, judge_experiment
from core.report.words import Table, cost_table, score_table, unmeasured, verdict_lines
from core.runs.experiment import experiment_state
from core.runs.experiment_folder import Experiment
from core.runs.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "experiment.md"
PICTURES = ROOT / "assets" / "pictures"
BEGIN, END = "<!-- experiment:begin -->", "<!-- experiment:end -->"
NAME = "Orange cat"
AB = (
    "ab", "demo", "--seeds", "6", "--arm", "teacher-forced", "--arm", "rollout", "--arm", "equal-compute",
    "--arm", "placebo", "--set", "max_train_steps=300", "--set", "validation_steps=150",
    "--set", "num_validation_images=1", "--set", "drift_samples=24", "--set", "checkpointing_steps=0",
)  # fmt: skip
SCORE = ("--steps", "4,8,16,28", "--guidance", "1,2,4")
PLOTS = {
    "differences.png": "Differences from teacher forcing, a dot a seed",
    "frontier_forwards.png": "V at the end of the chain against compute",
    "sweep_steps.png": "Scores against the number of sampling steps",
    "drift_bands.png": "Band energy of short paths",
}
"""Plots of the report that the page shows, with their alternative text."""


def main() -> None:
    """Does what is missing, then writes the page."""
    parser = argparse.ArgumentParser(prog="python -m assets.experiment", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / ".build" / "experiment")
    parser.add_argument("--render", action="store_true", help="only write the page, from what is there")
    arguments = parser.parse_args()
    workspace = arguments.workspace.resolve()
    experiment = Experiment(workspace / "experiments" / "orange-cat")
    if not arguments.render:
        _train(experiment, workspace)
    render(experiment)


def _train(experiment: Experiment, workspace: Path) -> None:
    place = ("--workspace", str(workspace))
    if not experiment.file_path.is_file():
        _run(*AB, "--name", NAME, *place)
    elif experiment_state(experiment).label != "done":
        _run("resume", str(experiment.path), *place)
    _run("score", str(experiment.path), *SCORE, *place)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "core", *arguments], cwd=ROOT, check=True)


def render(experiment: Experiment) -> None:
    """Writes tables and verdict between the page's markers, and its pictures; the prose is left as it stands.

    Raises:
        RunError: The page has no place for them.
    """
    text = PAGE.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise RunError(f"{PAGE} must hold {BEGIN} and {END} once each; put them where the tables belong")
    with tempfile.TemporaryDirectory() as folder:
        report = export_report(experiment, Path(folder) / "report")
        shutil.copyfile(report / "sheet.png", PICTURES / "experiment-sheet.png")
        for name in PLOTS:
            shutil.copyfile(report / "plots" / name, PICTURES / f"experiment-{name}")
    block = f"{BEGIN}\n\n{generated(experiment)}\n\n{END}"
    write_whole(PAGE, re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.S))


def generated(experiment: Experiment) -> str:
    """Verdict, tables and pictures, as the report has them."""
    steps = judge_experiment(experiment)
    command = " ".join(["python -m core", *AB, "--name", f'"{NAME}"'])
    parts = [
        f"```sh\n{command}\npython -m core score orange-cat {' '.join(SCORE)}\npython -m core report orange-cat\n```",
        "### Verdict", *_verdict(steps), "### Scores at the planned end of each run",
        _markdown(score_table(steps.runs, steps.judgement)), *_unmeasured(steps),
        "### Costs", _markdown(cost_table(steps.runs)),
        "### Pictures\n\n![First prompts of every arm](../assets/pictures/experiment-sheet.png)",
        *(f"![{words}](../assets/pictures/experiment-{name})" for name, words in PLOTS.items()),
    ]  # fmt: skip
    return "\n\n".join(parts)


def _verdict(judged: Judged) -> list[str]:
    first, *rest = verdict_lines(judged.judgement)
    return [f"> **{first}**", "\n".join(f"- {line}" for line in (*rest, *judged.judgement.problems))]


def _unmeasured(judged: Judged) -> Sequence[str]:
    names = unmeasured(judged.runs)
    return [f"Not measured: {', '.join(names)}."] if names else []


def _markdown(table: Table) -> str:
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
