"""Plots as the page shows them: drawn once per change, shared by all open pages."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.html import figure, table
from core.plots import PLOTS
from core.runs.records import StepRecord

KEPT = 400
REDRAW_AFTER = 5.0
"""Seconds that a plot of a running training is shown before it is drawn again, however many pages show it."""
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


@dataclass
class _Chart:
    """One chart: what was drawn last, and the lock of whoever draws it.

    Attributes:
        drawn: Signature, time of the drawing's beginning and HTML; None before the first.
        drawing: Held while it is drawn, so that of many who ask one draws.
    """

    drawn: tuple[str, float, str] | None = None
    drawing: threading.Lock = field(default_factory=threading.Lock)


class Charts:
    """Drawn plots, the latest asked for last.

    Attributes:
        drawings: How many drawings were begun so far.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._charts: OrderedDict[Hashable, _Chart] = OrderedDict()
        self._clock = clock
        self.drawings = 0

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
        return self.kept((name, subject), signature, lambda: draw(name, series(), **options), live=live)

    def kept(self, key: Hashable, signature: str, make: Callable[[], str], *, live: bool = False) -> tuple[str, str]:
        """HTML that takes a while to make, and the signature of what it shows; made once for all who ask for it.

        Who asks while another makes it waits for that, or takes the older one where the data changes all the time.
        """
        chart = self._chart(key)
        known = self._good_enough(chart, signature, live)
        if known is not None:
            return known
        older = chart.drawn
        if older is None or not live:
            chart.drawing.acquire()
        elif not chart.drawing.acquire(blocking=False):
            return older[2], older[0]
        try:
            known = self._good_enough(chart, signature, live)
            if known is not None:
                return known
            began = self._clock()
            with self._lock:
                self.drawings += 1
            html = make()
            chart.drawn = (signature, began, html)
            return html, signature
        finally:
            chart.drawing.release()

    def _chart(self, key: Hashable) -> _Chart:
        with self._lock:
            chart = self._charts.setdefault(key, _Chart())
            self._charts.move_to_end(key)
            while len(self._charts) > KEPT:
                self._charts.popitem(last=False)
            return chart

    def _good_enough(self, chart: _Chart, signature: str, live: bool) -> tuple[str, str] | None:
        drawn = chart.drawn
        if drawn is None or (drawn[0] != signature and not (live and self._clock() - drawn[1] < REDRAW_AFTER)):
            return None
        return drawn[2], drawn[0]


def draw(name: str, series: Series, **options: Any) -> str:
    """One plot as HTML. Imports matplotlib, which the page does without until somebody looks at a plot."""
    from core.plots.figure import render_svg, summary_of
    from core.plots.table import tables_of

    plot = PLOTS[name]
    drawn = plot.draw(series, **options)
    numbers = "".join(table(found.head, found.rows, f"{plot.title}: {found.caption}") for found in tables_of(drawn))
    return figure(render_svg(drawn, plot.title), plot.title, plot.help, summary_of(drawn), numbers)
