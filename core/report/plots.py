"""The plots of an experiment: each as a figure of the page, and as SVG and PNG files, light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.evaluation.verdict import Comparison, RunScores
from core.plots import PLOTS
from core.plots.figure import render_svg, save, summary_of
from core.plots.registry import Plot
from core.plots.table import Table, tables_of
from core.report.judged import Judged
from core.runs.drift import DriftRecord
from core.runs.experiment_folder import ArmRun
from core.runs.records import StepRecord, read_records

OfArm = TypeVar("OfArm", RunScores, Comparison)
FILES = {"SVG": ".svg", "PNG": ".png", "SVG, dark": "-dark.svg", "PNG, dark": "-dark.png"}


@dataclass(frozen=True)
class Drawn:
    """A plot that has something to show.

    Attributes:
        plot: Its entry in the registry.
        svg: For the page; follows its theme.
        summary: Its numbers in words.
        tables: Its numbers in tables, one a panel.
        files: What they are called to their names in the folder.
    """

    plot: Plot
    svg: str
    summary: str
    tables: Sequence[Table]
    files: Mapping[str, str]


def draw_plots(arms: Sequence[ArmRun], judged: Judged, folder: Path) -> list[Drawn]:
    """Draws every plot of records that these runs have, what was found before how it came, and writes its files.

    Args:
        arms: The runs.
        judged: Their scores and comparisons; the declared score is drawn against what it cost.
        folder: For the files; it must exist.

    Raises:
        OSError: If a file cannot be written.
    """
    series: dict[str, Mapping[str, Any]] = {
        "comparisons": by_arm(judged.judgement.comparisons),
        "scores": by_arm(judged.runs),
        "drift": {arm.run.name: read_records(DriftRecord, arm.run.drift_path) for arm in arms},
        "steps": {arm.run.name: read_records(StepRecord, arm.run.metrics_path) for arm in arms},
    }
    options = {"scores": {"score": judged.judgement.primary}}
    drawn = (
        _draw(plot, series[kind], folder, options.get(kind, {}))
        for kind in series for plot in PLOTS.values() if plot.records == kind
    )  # fmt: skip
    return [found for found in drawn if found is not None]


def by_arm(found: Sequence[OfArm]) -> dict[str, list[OfArm]]:
    """Runs or comparisons of each arm, in their order."""
    arms: dict[str, list[OfArm]] = {}
    for one in found:
        arms.setdefault(one.arm, []).append(one)
    return arms


def _draw(plot: Plot, series: Mapping[str, Any], folder: Path, options: Mapping[str, str]) -> Drawn | None:
    figure = plot.draw(series, **options)
    if not any(axes.has_data() for axes in figure.axes):
        return None
    names = {what: f"{plot.name}{suffix}" for what, suffix in FILES.items()}
    for name in names.values():
        save(figure, folder / name, plot.title, dark="-dark" in name)
    return Drawn(plot, render_svg(figure, plot.title), summary_of(figure), tables_of(figure), names)
