"""Which files the page serves: the sample pictures of the runs that somebody looks at, and nothing else of a run."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import _StaticFiles

from app.entries import Entry


def publish(entry: Entry) -> None:
    """Lets the page show the samples of a run or an experiment. Only the samples folders, never the run folder."""
    served = set(_StaticFiles.all_paths)
    fresh = [folder for arm in entry.arms if (folder := arm.folder.samples_dir.resolve()) not in served]
    if fresh:
        gr.set_static_paths([str(folder) for folder in fresh])
