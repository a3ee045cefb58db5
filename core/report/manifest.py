"""What the picture viewer shows: which pictures there are and where, as a small table in JSON. Imports no torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.pictures import look_at
from core.errors import DataError
from core.runs.folder import RunFolder
from core.samples.found import find_samples

VIEWER = Path(__file__).with_name("viewer")
PARTS = ("album.js", "grid.js", "stage.js", "element.js")
"""The viewer's script, which ``viewer_script`` puts together; each part uses those before it."""
SMALL = 128
"""Pixels. Pictures up to this side are enlarged by their own pixels, larger ones are smoothed."""


@dataclass(frozen=True)
class Shown:
    """A run whose pictures are shown.

    Attributes:
        label: What people read.
        arm: Runs of the same arm differ in their training seed only.
        seed: The training seed that pairs it with the runs of other arms; None where nothing pairs them.
        folder: Its run folder.
    """

    label: str
    arm: str
    seed: int | None
    folder: RunFolder


def manifest(
    runs: Sequence[Shown], url_of: Callable[[RunFolder], str], prompts: Sequence[str], key: str
) -> dict[str, Any]:
    """The table that the viewer reads.

    Args:
        runs: In the order in which their arms are offered; the reference first.
        url_of: The address below which a run's ``step-000500/p00-s42.png`` lie, with a slash at its end.
        prompts: The sample prompts, in their order.
        key: Names what is shown: a viewer that comes back with the same key goes on where its reader was.
    """
    found = {run: find_samples(run.folder.samples_dir) for run in runs}
    first = next((path for samples in found.values() for path in samples.values()), None)
    rows = [
        {
            "label": run.label,
            "arm": run.arm,
            "seed": run.seed,
            "base": url_of(run.folder),
            "spots": [[spot.step, spot.prompt, spot.seed] for spot in samples],
        }
        for run, samples in found.items()
    ]
    return {"key": key, "pixelated": first is not None and _is_small(first), "prompts": list(prompts), "runs": rows}


def viewer_html(table: Mapping[str, Any]) -> str:
    """The element with its table; the page that it stands in must run ``viewer_script``."""
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<rollout-viewer><script type="application/json">{text}</script></rollout-viewer>'


def viewer_script() -> str:
    """Defines the element ``<rollout-viewer>``; fit to stand inside a ``<script>``, and to run more than once."""
    style = json.dumps((VIEWER / "style.css").read_text(encoding="utf-8"))
    parts = "\n".join((VIEWER / name).read_text(encoding="utf-8") for name in PARTS)
    guard = 'if (customElements.get("rollout-viewer")) return;'
    return f'(() => {{\n"use strict";\n{guard}\nconst STYLE = {style};\n{parts}}})();\n'


def _is_small(path: Path) -> bool:
    try:
        look = look_at(path)
    except DataError:
        return False
    return max(look.width, look.height) <= SMALL
