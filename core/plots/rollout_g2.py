"""Recovery gap G2 of the rollouts that visited mode trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.lines import plot_over_steps
from core.runs.records import StepRecord


def draw(series: Mapping[str, Sequence[StepRecord]]) -> Figure:
    """One curve per label; only visited mode has values, for its first state is the teacher-forced one."""
    return plot_over_steps(
        series,
        "rollout_g2",
        "G2 (squared latent units)",
        smooth=True,
        empty="Nothing rolled out in visited mode yet",
    )
