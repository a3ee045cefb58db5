"""[Check this machine]: what ``python -m core doctor`` finds, in a process of its own that loads the libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from app.html import checklist
from core.config.paths import PROJECT_ROOT
from core.runs.launch import child_environment

PATIENCE = 180
"""Seconds: the first load of the libraries from a slow disk takes a while."""


def examine(workspace: Path) -> str:
    """What the doctor found, as HTML; a doctor that fails itself is a finding too.

    Args:
        workspace: The workspace's root.
    """
    argv = [sys.executable, "-m", "core", "doctor", "--json", "--workspace", str(workspace)]
    try:
        ended = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            cwd=PROJECT_ROOT,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return checklist([("fail", "Doctor", f"it must answer within {PATIENCE} s, got nothing; type {_typed()}")])
    found = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    if not found:
        last = ended.stderr.strip().splitlines()[-1:] or [f"exit code {ended.returncode}"]
        return checklist([("fail", "Doctor", f"it must answer, got an error: {last[0]}; type {_typed()}")])
    return checklist([(check["level"], check["title"], check["text"]) for check in found])


def _typed() -> str:
    return "python -m core doctor to see all of it"
