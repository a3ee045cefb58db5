"""A full drift measurement as tables: base model and LoRA side by side, with units and how to read each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from app.html import escape, table
from core.runs.drift import DriftRecord
from core.runs.metrics import Metric


def metrics_table(metrics: Sequence[Metric], records: Mapping[str, DriftRecord], caption: str) -> str:
    """A line a metric, a column a record; metrics that none of them has are left out, an empty text if all are.

    Args:
        metrics: In their order.
        records: Heading to measurement.
        caption: Of the table.
    """
    rows = []
    for metric in metrics:
        values = [metric.value(record) for record in records.values()]
        if any(math.isfinite(value) for value in values):
            name = f"{escape(metric.label)}<br><small>{escape(metric.unit)}</small>"
            rows.append([name, *(digits(value) for value in values), f"<small>{escape(metric.help)}</small>"])
    return table(["Metric", *records, "How to read it"], rows, caption, raw=True) if rows else ""


def digits(value: float, count: int = 3) -> str:
    """So many of them, with a proper minus; a dash where nothing was measured."""
    return f"{value:.{count}g}".replace("-", "−") if math.isfinite(value) else "–"
