"""The picture viewer on the page: what it shows, and the scripts that the page's head needs."""

from __future__ import annotations

from pathlib import Path

from app.comparison import Chosen
from app.pictures import prompts_text
from app.view import file_url
from app.votes import KEYS_SCRIPT
from core.report.manifest import Shown, manifest, viewer_html, viewer_script

ACCESS_SCRIPT = Path(__file__).with_name("access.js")


def head() -> str:
    """What stands in the page's head: the viewer's element, the keys of the vote, and the path by keyboard."""
    access = ACCESS_SCRIPT.read_text(encoding="utf-8")
    script = f"{viewer_script()}\n{KEYS_SCRIPT}\n{access}".replace("</", "<\\/")
    return f"<script>{script}</script>"


def pictures_html(chosen: Chosen) -> str:
    """All sample pictures of what is compared; which of them is looked at is the browser's affair."""
    runs = [Shown(run.label, run.arm, run.seed, run.run) for run in chosen.runs]
    key = " ".join(str(entry.selection) for entry in chosen.entries)
    table = manifest(runs, lambda folder: file_url(folder.samples_dir) + "/", prompts_text(chosen.runs), key)
    return viewer_html(table)
