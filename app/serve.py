"""Which files the page serves: sample pictures of runs that somebody looks at, and downloads; nothing else of a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import gradio as gr
from gradio.data_classes import _StaticFiles

from app.entries import Entry
from core.runs.folder import RunFolder
from core.runs.inspections import pictures_dir

PICTURES = frozenset({".png"})
REPORTS = frozenset({".png", ".zip"})
CONFIGS = frozenset({".json"})
EXPORTS = frozenset({".zip"})

_served: dict[str, frozenset[str]] = {}
"""Folders with their links resolved, and the endings of what is served from each; of the whole process, as Gradio's."""


def publish(entry: Entry) -> None:
    """Lets the page show the samples of a run or an experiment. Only the samples folders, never the run folder."""
    _serve([arm.folder.samples_dir for arm in entry.arms], PICTURES)


def publish_reports(folder: Path) -> None:
    """Lets the page hand out what was exported, never a page of its own address."""
    _serve([folder], REPORTS)


def publish_configs(folder: Path) -> None:
    """Lets the page hand out exported configs."""
    _serve([folder], CONFIGS)


def publish_exports(folder: Path) -> None:
    """Lets the page hand out packed exports; what lies beside them is in them."""
    _serve([folder], EXPORTS)


def publish_inspection(folder: RunFolder) -> None:
    """Lets the page show the pictures of an inspection, and nothing else of its folder."""
    _serve([pictures_dir(folder)], PICTURES)


def may_serve(path: str) -> bool:
    """Whether a file may be handed out: one of a served folder, its links resolved, with an ending of that folder.

    Args:
        path: As it stands in the request, decoded once. Only the plain absolute path of a file is taken.
    """
    if not path.startswith("/") or path.startswith("//") or "\0" in path or path != os.path.normpath(path):
        return False
    real = os.path.realpath(path)
    for folder, endings in list(_served.items()):
        if real.startswith(folder + os.sep):
            inner = real[len(folder) + 1 :]
            hidden = any(part.startswith(".") for part in inner.split(os.sep))
            if not hidden and os.path.splitext(real)[1].lower() in endings:
                return os.path.isfile(real)
    return False


def _serve(folders: Iterable[Path], endings: frozenset[str]) -> None:
    """Serves real folders; one that is a link leads to where nobody meant to serve anything.

    Those that are folders no longer are forgotten: Gradio follows all of them for every file, and a link that leads to
    itself makes it fail.
    """
    for gone in [folder for folder in list(_served) if not _is_folder(folder)]:
        _served.pop(gone, None)
        with contextlib.suppress(ValueError):
            _StaticFiles.all_paths.remove(Path(gone))
    own = [os.path.realpath(folder) for folder in folders if _is_folder(folder)]
    fresh = [real for real in own if real not in _served]
    if fresh:
        _served.update(dict.fromkeys(fresh, endings))
        gr.set_static_paths([*fresh])


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
