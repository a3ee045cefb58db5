"""Which files the page serves: sample pictures of runs that somebody looks at, and reports; nothing else of a run."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.data_classes import _StaticFiles

from app.entries import Entry
from core.runs.folder import RunFolder
from core.runs.inspections import pictures_dir


def publish(entry: Entry) -> None:
    """Lets the page show the samples of a run or an experiment. Only the samples folders, never the run folder."""
    _serve([arm.folder.samples_dir for arm in entry.arms])


def publish_reports(folder: Path) -> None:
    """Lets the page hand out what was exported."""
    _serve([folder])


def publish_inspection(folder: RunFolder) -> None:
    """Lets the page show the pictures of an inspection, and nothing else of its folder."""
    _serve([pictures_dir(folder)])


def _serve(folders: list[Path]) -> None:
    served = set(_StaticFiles.all_paths)
    fresh = [real for folder in folders if (real := folder.resolve()) not in served]
    if fresh:
        gr.set_static_paths([str(folder) for folder in fresh])
