"""Runs and experiments as HTML: lists, the status strip and sample pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from app.entries import Arm, Entry
from app.grouping import arms_in_words
from app.html import chip, empty, escape, paragraph, picture
from app.workbench import Workbench
from core.samples.found import Spot, alt_text

PHASES = {
    "queued": "waiting",
    "loading": "loading libraries and model",
    "caching": "encoding pictures and prompts",
    "class_images": "drawing class pictures",
    "training": "training",
    "sampling": "drawing samples",
    "saving": "saving",
    "paused": "paused",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}
MEAN_OVER = 20
"""Steps over which the rate is taken."""


def file_url(path: Path) -> str:
    """Address of a served sample picture, relative to the page."""
    return "gradio_api/file=" + quote(str(path))


def ago(moment: float, now: float | None = None) -> str:
    """How long ago a time is, in one unit."""
    seconds = max((time.time() if now is None else now) - moment, 0)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def seconds_per_step(workbench: Workbench, arm: Arm) -> float:
    """Mean over the latest steps; NaN before there are any."""
    recent = [record.seconds for record in workbench.journals.steps(arm.folder.metrics_path)[-MEAN_OVER:]]
    known = [seconds for seconds in recent if math.isfinite(seconds)]
    return sum(known) / len(known) if known else math.nan


def rate_text(workbench: Workbench, arm: Arm) -> str:
    """Steps per second and the time left, empty where nothing is known."""
    seconds, status = seconds_per_step(workbench, arm), arm.state.status
    if not math.isfinite(seconds) or seconds <= 0 or status.phase != "training":
        return ""
    speed = f"{1 / seconds:.1f} it/s" if seconds < 1 else f"{seconds:.1f} s/it"
    return f"{speed}, {duration(seconds * max(status.total - status.step, 0))} left in this phase"


def bar(arm: Arm) -> float:
    """What the bar of an arm shows: its steps, and before the first of them how far the present phase is."""
    status = arm.state.status
    if arm.state.label == "done":
        return 1.0
    return status.step / status.total if status.step > 0 and status.total > 0 else status.progress


def doing(arm: Arm) -> str:
    """What an arm does now, or how it ended, in words for people."""
    phase = arm.state.status.phase
    is_plain = not arm.state.message or arm.state.message == phase.replace("_", " ")
    return PHASES[phase] if is_plain else arm.state.message


def entry_list(entries: Sequence[Entry], count: int) -> str:
    """Runs and experiments as links, newest first; one click finds a run again.

    Args:
        entries: The newest.
        count: Of everything that there is.
    """
    if not entries:
        return empty("No trainings yet. The demo makes the first: it takes a few minutes and no download.")
    rows, rest = "".join(map(_row, entries)), count - len(entries)
    older = f"and {rest} older {'one' if rest == 1 else 'ones'}, listed under Monitor and Compare"
    return f'<ul class="rw-entries">{rows}</ul>{paragraph(older) if rest > 0 else ""}'


def _row(entry: Entry) -> str:
    arms = arms_in_words(entry.arms) if entry.selection.is_experiment else "single run"
    name = quote(str(entry.selection), safe="")
    title = f'<a href="?run={name}&amp;tab=monitor">{escape(entry.title)}</a>'
    compare = f'<a href="?run={name}&amp;tab=compare">Compare</a>' if entry.selection.is_experiment else ""
    when = f"<span>{escape(arms)}, {escape(ago(entry.created))}</span>"
    return f"<li><div>{title}{when}</div>{chip(entry.label)}{compare}</li>"


Cell = tuple[str, Spot, Path | None]
"""Caption, what it shows, and the file, None while it is not drawn."""


def sample_rows(rows: Sequence[tuple[str, Sequence[Cell]]], prompt: str, side: int) -> str:
    """Pictures of one prompt: a line an arm, a column a step; what is not drawn yet keeps its place."""
    lines = []
    for arm, cells in rows:
        pictures = "".join(
            picture(file_url(path), alt_text(arm, spot, prompt), caption, side) if path else _missing(caption, side)
            for caption, spot, path in cells
        )
        lines.append(f'<div class="rw-line"><h4>{escape(arm)}</h4><div class="rw-pictures">{pictures}</div></div>')
    scroll = f'<div class="rw-scroll" tabindex="0" role="region" aria-label="Samples of: {escape(prompt)}">'
    return f'<section class="rw-prompt"><h3>{escape(prompt)}</h3>{scroll}{"".join(lines)}</div></section>'


def _missing(caption: str, side: int) -> str:
    place = f'<div style="width:{side}px;height:{side}px">not drawn</div>'
    return f'<figure class="rw-picture rw-missing">{place}<figcaption>{escape(caption)}</figcaption></figure>'
