"""Configs of other tools on the page: what became of each key, both ramps, and the way back out."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app.charts import draw
from app.html import checklist, figures, sentences, table
from app.paths import AllowedPaths
from app.workbench import Workbench
from core.config.files import parse_json
from core.config.foreign import READERS, import_text, is_foreign
from core.config.foreign.kept import Kept, document, kept_in, kept_of, kept_text
from core.config.foreign.ramps import RampThere
from core.config.foreign.report import Finding, RampRow, as_rows
from core.config.foreign.simpletuner import Exported, write
from core.config.foreign.source import Imported
from core.config.run import RunConfig
from core.errors import ConfigError, Problem

HEAD = ("What", "Key", "Value", "Set here", "Why, or what differs")
NOT_ALLOWED = "not a place that the page may use: the preset's is taken; pick the pictures on the Data tab"


@dataclass(frozen=True)
class TakenOver:
    """What a file that somebody gave the page comes to.

    Attributes:
        config: The config for the form; None where it is none.
        kept: What is kept of it, as the page holds it: JSON, empty for nothing.
        html: What to say about it.
    """

    config: RunConfig | None
    kept: str
    html: str


def take_over(workbench: Workbench, text: str, name: str, preset: str) -> TakenOver:
    """Reads a config of this workbench or of another tool.

    Args:
        workbench: What completes it, and which paths may be used.
        text: Its content; nothing that it names is read.
        name: Its name, whose ending tells what it holds.
        preset: Completes it.
    """
    try:
        if is_foreign(text, name) or Path(name).suffix.lower() not in ("", ".json"):
            return _foreign(workbench, import_text(text, name), preset)
        config = workbench.import_text(text, preset)
        kept = hold(kept_in(parse_json(text), name))
    except ConfigError as error:
        return TakenOver(None, "", failed(error.problems))
    return TakenOver(config, kept, checklist([("pass", "Applied", "The form holds this config now.")]))


def failed(problems: Iterable[Problem]) -> str:
    """Problems in a list."""
    return checklist([("fail", problem.option, problem.message) for problem in problems])


def hold(kept: Kept) -> str:
    """What is kept, as the page holds it; plain ASCII, whatever a file has in it."""
    section = kept.section
    return "" if section is None else json.dumps({"imported": section})


def _foreign(workbench: Workbench, imported: Imported, preset: str) -> TakenOver:
    """The config of another tool's file, with a row for each key, whether or not it makes a config."""
    allowed = _allowed(imported, workbench.paths).completed(workbench.preset(preset).config, {})
    rows = table(HEAD, as_rows(allowed.findings), "What became of each key of the file")
    kept = kept_of(imported)
    try:
        config = allowed.config()
        document(config, kept)
    except ConfigError as error:
        return TakenOver(None, "", failed(error.problems) + rows)
    differing = sum(row.standing == "differs" for row in allowed.findings)
    told = f"The form holds what {READERS[imported.tool].title} would train; {differing} keys behave differently here."
    said = checklist([("pass", "Imported", told)])
    return TakenOver(config, hold(kept), said + _ramps(config, imported.ramp, imported.ramps(config)) + rows)


def _allowed(imported: Imported, paths: AllowedPaths) -> Imported:
    """The same without folders that the page may not use."""
    refused = {problem.option for problem in paths.problems_of(imported.options)}
    if not refused:
        return imported
    rows = [
        Finding(option, imported.options[option], "differs", words=NOT_ALLOWED, given=True)
        for option in sorted(refused)
    ]
    left = {option: value for option, value in imported.options.items() if option not in refused}
    return replace(imported, options=left, findings=(*imported.findings, *rows))


def _ramps(config: RunConfig, there: RampThere | None, rows: Iterable[RampRow]) -> str:
    """Both ramps as a drawing and as numbers; empty where there is nothing to compare."""
    points = [[str(row.step), f"{row.there:.3f}", f"{row.here:.3f}"] for row in rows]
    if there is None or not points:
        return ""
    from core.plots.preview import Preview

    shown = replace(Preview.of(config), there=there)
    numbers = table(("Optimizer step", "SimpleTuner", "Here"), points, "Chance of a rollout, there and here")
    return figures([draw("ramp", {"here": [shown]})]) + numbers


def simpletuner_config(config: RunConfig, kept: str) -> Exported:
    """The config for SimpleTuner.

    Args:
        config: What the form holds.
        kept: What the page holds of an import.

    Raises:
        ConfigError: What is held is damaged.
    """
    held = kept_text(kept)
    own = held.tool == "simpletuner"
    return write(config, held.keys if own else {}, held.files if own else {})


def told_of(made: Exported, config: RunConfig) -> str:
    """What the exported config cannot say, and the ramps where they differ."""
    lost = sentences(made.losses)
    said = checklist([("pass", "SimpleTuner", "Its config and its list of data sets lie in the zip.")])
    differ = any(abs(row.there - row.here) > 1e-9 for row in made.ramps)
    return said + (lost if made.losses else "") + (_ramps(config, made.ramp, made.ramps) if differ else "")


def packed(made: Exported) -> bytes:
    """A zip with both files; the same for the same config."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in (("config.json", made.config), (safe_name(made.backends_name), made.backends)):
            archive.writestr(zipfile.ZipInfo(name), json.dumps(part, indent=2) + "\n")
    return buffer.getvalue()


def safe_name(name: str) -> str:
    """A file name that a list of data sets may have within the zip; the usual one for any other."""
    plain = name.isascii() and name.endswith(".json") and name != "config.json" and len(name) < 100
    fits = plain and all(letter.isalnum() or letter in "._-" for letter in name) and not name.startswith(".")
    return name if fits else "multidatabackend.json"


def folder_of(data: bytes, root: Path) -> Path:
    """Where a packed config lies: a folder by its content."""
    return root / "simpletuner" / hashlib.sha256(data).hexdigest()[:16]
