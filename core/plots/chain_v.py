"""Variance V of finished samples at each measurement, and where its alarm lies."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Limit, Series, plot_probes
from core.runs.alarms import V_LIMIT


def draw(series: Series) -> Figure:
    """One curve per arm, the base model in grey; never V of short paths, which is another number."""
    return plot_probes(series, "v_end", "V of samples (nats)", Limit(lambda values: values + V_LIMIT, "5 % below"))
