"""Variance V of the self-generated states at the end of the chain, at each probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from core.plots.probes import plot_probes
from core.runs.drift import DriftRecord


def draw(series: Mapping[str, Sequence[DriftRecord]]) -> Figure:
    """One curve per label, the base model in grey."""
    return plot_probes(series, lambda record: record.v_end, "V (log ratio of variances)")
