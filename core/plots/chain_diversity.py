"""Diversity of finished samples at each measurement, and where its alarm lies."""

from __future__ import annotations

from matplotlib.figure import Figure

from core.plots.probes import Limit, Series, plot_probes
from core.runs.alarms import DIVERSITY_LIMIT


def draw(series: Series) -> Figure:
    """One curve per arm, the base model in grey."""
    limit = Limit(lambda values: values * DIVERSITY_LIMIT, "10 % below")
    return plot_probes(series, "diversity", "diversity (1 = training set)", limit)
