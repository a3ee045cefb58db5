"""Plots as the page shows them: drawn once per change, shared by all open pages."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.html import figure
from core.plots import PLOTS
from core.runs.records import StepRecord

KEPT = 400
REDRAW_AFTER = 4.0
"""Seconds that a plot of a running training is shown before it is drawn again."""
LIVE_PLOTS = {
    "rollout_v": "rollout_v",
    "rollout_g2": "rollout_g2",
    "posterior_entropy": "posterior_entropy",
    "posterior_nearest": "posterior_nearest",
    "reflexflow": "reflexflow_direction",
    "reflexflow_spread": "reflexflow_spread",
}
"""Plots that few trainings have data for, and the record's field that tells."""

Series = Mapping[str, Sequence[Any]]


def live_plots(series: Mapping[str, Sequence[StepRecord]]) -> list[str]:
    """Those of ``LIVE_PLOTS`` that there is something to draw in."""

    def is_recorded(field: str) -> bool:
        return any(getattr(record, field) is not None for records in series.values() for record in records)

    return [name for name, field in LIVE_PLOTS.items() if is_recorded(field)]


class Charts:
    """A cache of drawn plots, newest last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._drawn: OrderedDict[tuple[str, str], tuple[str, float, str]] = OrderedDict()
        self._clock = clock

    def show(
        self,
        name: str,
        subject: str,
        signature: str,
        series: Callable[[], Series],
        *,
        live: bool = False,
        **options: Any,
    ) -> tuple[str, str]:
        """A plot as HTML, and the signature of what it shows.

        Args:
            name: A plot of the registry.
            subject: What is drawn, for example a selection.
            signature: Changes whenever the data does.
            series: Called only when the plot must be drawn.
            live: The data changes all the time: an older drawing is good enough for some seconds.
            options: What the plot takes beside its series.
        """
        key = (name, subject)
        with self._lock:
            known = self._drawn.get(key)
            if known and (known[0] == signature or (live and self._clock() - known[1] < REDRAW_AFTER)):
                self._drawn.move_to_end(key)
                return known[2], known[0]
        html = draw(name, series(), **options)
        with self._lock:
            self._drawn[key] = (signature, self._clock(), html)
            self._drawn.move_to_end(key)
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
        return html, signature


def draw(name: str, series: Series, **options: Any) -> str:
    """One plot as HTML. Imports matplotlib, which the page does without until somebody looks at a plot."""
    from core.plots.figure import render_svg, summary_of

    plot = PLOTS[name]
    drawn = plot.draw(series, **options)
    return figure(render_svg(drawn, plot.title), plot.title, plot.help, summary_of(drawn))
