"""Film strips: what the model makes of one pair along the true path and along its own, point by point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.html import escape
from app.metrics import digits
from app.view import file_url
from core.data.pictures import look_at
from core.errors import DataError
from core.runs.inspections import Inspection, Strip

SIDE = 96
"""Pixels on the page; pictures no larger than this are enlarged without smoothing."""
NAMES = {"base": "Base model", "adapter": "With the LoRA"}


def pairs_of(found: Inspection) -> list[int]:
    """Pairs that there are strips of."""
    return sorted({strip.pair for strip in found.strips})


def film_html(found: Inspection, pair: int) -> str:
    """A table for the base model and one for the LoRA: timesteps across, both paths and their distance down."""
    strips = {(strip.which, strip.path): strip for strip in found.strips if strip.pair == pair}
    longest = max((value for strip in strips.values() for value in strip.distance if math.isfinite(value)), default=0.0)
    shown = []
    for which, name in NAMES.items():
        true, own = strips.get((which, "teacher-forced")), strips.get((which, "own"))
        if true is not None and own is not None:
            shown.append(_film(found, name, true, own, longest))
    pixels = " rw-pixels" if _is_small(found) else ""
    return f'<div class="rw-films{pixels}">{"".join(shown)}</div>'


def _film(found: Inspection, name: str, true: Strip, own: Strip, longest: float) -> str:
    times = "".join(f'<th scope="col">{timestep:.0f}</th>' for timestep in own.timesteps)
    clean = found.clean[own.pair] if own.pair < len(found.clean) else None
    last = _cell(found, clean, f"Pair {own.pair + 1}: the training picture itself", rows=2) if clean else ""
    rows = "".join(
        f'<tr><th scope="row" class="rw-head">{head}<small>{note}</small></th>{cells}</tr>'
        for head, note, cells in (
            ("True path", "teacher-forced", _pictures(found, name, true) + last),
            ("Own path", "from the same noise", _pictures(found, name, own)),
            ("Distance", "latent rms", _bars(own.distance, longest)),
            ("V of its state", "nats", _numbers(own.v)),
        )
    )
    title = f"{name}: estimates of the clean picture at each timestep, noise on the left"
    end = '<th scope="col">picture</th>' if clean else ""
    return (
        f'<section><h3>{escape(name)}</h3><div class="rw-scroll" tabindex="0" role="region" '
        f'aria-label="Film strip, {escape(title)}"><table class="rw-film"><caption>{escape(title)}</caption>'
        f'<thead><tr><th scope="col" class="rw-head">Timestep</th>{times}{end}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _pictures(found: Inspection, name: str, strip: Strip) -> str:
    path = "true path" if strip.path == "teacher-forced" else "own path"
    return "".join(
        _cell(found, picture, f"{name}, pair {strip.pair + 1}, {path}, estimate at timestep {timestep:.0f}")
        for timestep, picture in zip(strip.timesteps, strip.pictures, strict=True)
    )


def _cell(found: Inspection, picture: str, alt: str, rows: int = 1) -> str:
    url, span = escape(file_url(found.folder.path / picture)), f' rowspan="{rows}"' if rows > 1 else ""
    return f'<td{span}><img src="{url}" alt="{escape(alt)}" width="{SIDE}" height="{SIDE}" loading="lazy"></td>'


def _bars(values: Sequence[float], longest: float) -> str:
    """Each number with a bar as long as its share of the longest."""
    cells = []
    for value in values:
        share = value / longest if longest > 0 and math.isfinite(value) else 0.0
        bar = f'<span class="rw-gauge" aria-hidden="true"><span style="width:{share:.0%}"></span></span>'
        cells.append(f"<td>{digits(value, 2)}{bar}</td>")
    return "".join(cells)


def _numbers(values: Sequence[float]) -> str:
    return "".join(f"<td>{digits(value, 2)}</td>" for value in values)


def _is_small(found: Inspection) -> bool:
    """Whether the pictures are shown enlarged: then their own pixels are."""
    for strip in found.strips:
        for picture in strip.pictures:
            try:
                return look_at(found.folder.path / picture).width <= SIDE
            except DataError:
                continue
    return False
