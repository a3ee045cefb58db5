"""What the Launch tab asks for, checked before anything is made of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.design import Design
from app.form import config_of, marks
from app.html import checklist
from app.parts import Parts
from app.preflight import IDLE, preflight
from core.config.run import RunConfig
from core.errors import ConfigError


def asked_for(parts: Parts, design: Design, raw: Any, *, now: bool) -> tuple[RunConfig | None, str, Any]:
    """The config that the form holds, if it can be trained.

    Args:
        parts: The page's parts.
        design: The comparison.
        raw: What the inputs of the options hold.
        now: Whether it is to start at once; what is queued waits for its turn.

    Returns:
        The config, or None with what is wrong as HTML and the marks of the fields, skipped where none is at fault.
    """
    try:
        config = config_of(raw, parts.workbench.paths)
    except ConfigError as error:
        found = checklist([("fail", "Settings", problem.message) for problem in error.problems])
        return None, found, marks(error.problems)
    checks = preflight(config, (), parts.workbench.workspace, design)
    failed = [check for check in checks if check.level == "fail" and (now or check.title != IDLE)]
    if failed:
        return None, checklist([(check.level, check.title, check.text) for check in failed]), gr.skip()
    return config, "", ""


def name_of(parts: Parts, design: Design, title: object, preset: str, config: RunConfig) -> str:
    """What the training is called: as somebody typed it, else after its preset or pictures."""
    if isinstance(title, str) and title.strip():
        return title.strip()
    return parts.workbench.default_name(config, design.mode, preset)
