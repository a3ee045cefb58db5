"""Paired drift M1, mean over the inference grid, at each probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.probes import plot_probes
from core.runs.drift import DriftRecord


def draw(series: Mapping[str, Sequence[DriftRecord]]) -> Figure:
    """One curve per label, the base model in grey."""
    return plot_probes(series, lambda record: record.m1_mean, "M1 (relative rms)")
