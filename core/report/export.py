"""The report of an experiment: one folder that opens from disk without a server and says nothing of this machine."""

import contextlib
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from core import __version__
from core.data.pictures import look_at
from core.errors import DataError, RunError
from core.evaluation.verdict import View
from core.report.data import data_files
from core.report.facts import one_of_each, prompts_of, vote_lines
from core.report.judged import judge_experiment
from core.report.manifest import Shown, manifest
from core.report.page import Content, page
from core.report.plots import draw_plots
from core.runs.experiment_folder import ArmRun, Experiment
from core.runs.files import to_json
from core.runs.swap import replacing, require_own
from core.samples.compare import Row, comparison_sheet
from core.samples.found import Spot, find_samples

MARKER = "report.json"
"""Tells a report from any other folder."""
KIND = "rollout report"
MOST_COLUMNS = 24
"""Pictures in a row of the sheet."""


def export_report(experiment: Experiment, out: Path, *, view: View = "steps") -> Path:
    """Writes the report aside and renames it into place.

    Args:
        experiment: Finished or not: what is missing is said.
        out: The folder; an earlier report there is replaced.
        view: Whether runs are compared at equal steps or at equal compute.

    Returns:
        ``out``, absolute; it holds ``index.html``.

    Raises:
        RunError: If the experiment has no arms, something that is no report stands at ``out``, or it cannot be written.
    """
    out = Path(out).absolute()
    if not experiment.arms:
        raise RunError(f"{experiment.name} must be an experiment with arms, got none that can be read")
    require_own(out, MARKER, KIND, "report")
    with replacing(out) as folder:
        _write(experiment, folder, view)
    return out


def _write(experiment: Experiment, folder: Path, view: View) -> None:
    arms = experiment.arms
    judged = judge_experiment(experiment, view)
    for name in ("pictures", "plots", "data"):
        (folder / name).mkdir()
    for arm in arms:
        _copy_pictures(arm, folder / "pictures" / arm.run.name)
    shown = [Shown(arm.label, arm.arm, arm.seed, arm.run) for arm in arms]
    pictures = manifest(shown, lambda run: f"pictures/{run.name}/", prompts_of(arms), experiment.name)
    data = data_files(judged.runs, judged.judgement)
    for name, text in data.items():
        (folder / "data" / name).write_text(text, encoding="utf-8")
    content = Content(
        experiment.title, arms, judged, vote_lines(experiment), pictures, _draw_sheet(arms, folder),
        draw_plots(arms, judged, folder / "plots"), list(data),
    )  # fmt: skip
    (folder / "index.html").write_text(page(content), encoding="utf-8")
    facts = {"kind": KIND, "experiment": experiment.name, "view": view, "time": time.time(), "version": __version__}
    (folder / MARKER).write_text(to_json(facts, indent=2), encoding="utf-8")


def _copy_pictures(arm: ArmRun, folder: Path) -> None:
    for path in find_samples(arm.run.samples_dir).values():
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _draw_sheet(arms: Sequence[ArmRun], folder: Path) -> tuple[str, str] | None:
    """Arms by prompts and sample seeds at the last step that all have, at the first training seed."""
    chosen = one_of_each(arms)
    found = [_readable(find_samples(arm.run.samples_dir)) for arm in chosen]
    steps = set.intersection(*({spot.step for spot in samples} for samples in found))
    if not steps:
        return None
    step, prompts = max(steps), prompts_of(arms)
    spots = _columns(sorted({spot for samples in found for spot in samples if spot.step == step}))
    names = [prompts[spot.prompt] if spot.prompt < len(prompts) else f"prompt {spot.prompt + 1}" for spot in spots]
    rows = [Row(arm.label, [samples.get(spot) for spot in spots]) for arm, samples in zip(chosen, found, strict=True)]
    comparison_sheet(rows, names).save(folder / "sheet.png", optimize=True)
    seed = "" if chosen[0].seed is None else f" of training seed {chosen[0].seed}"
    return "sheet.png", f"Arms by rows, prompts and sample seeds by columns, at step {step}{seed}."


def _readable(samples: Mapping[Spot, Path]) -> dict[Spot, Path]:
    """Those that are whole: a run in progress may be writing one."""
    whole = {}
    for spot, path in samples.items():
        with contextlib.suppress(DataError):
            look_at(path)
            whole[spot] = path
    return whole


def _columns(spots: Sequence[Spot]) -> list[Spot]:
    """As many sample seeds of every prompt as a sheet has room for, at least one."""
    seeds = list(dict.fromkeys(spot.seed for spot in spots))
    prompts = len({spot.prompt for spot in spots})
    kept = seeds[: max(MOST_COLUMNS // prompts, 1)]
    return [spot for spot in spots if spot.seed in kept]
