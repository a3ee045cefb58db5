"""What can be told about this installation and this workspace without loading a model library."""

import fcntl
import os
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from core.config.deepspeed import MODULE as DEEPSPEED
from core.config.optimizers import EXTRAS
from core.config.paths import EMBEDDED_BASES
from core.config.presets import broken_presets, list_presets
from core.config.trackers import EXTRAS as TRACKERS
from core.errors import RunError
from core.runs.check import Check
from core.runs.experiment import experiment_state, list_experiments
from core.runs.files import make_folder
from core.runs.lock import training_in_progress
from core.runs.status import derive_state
from core.runs.workspace import Workspace

DISTRIBUTION = "rollout-workbench"
OLDEST_PYTHON = (3, 11)
LITTLE = 2 * 2**30
"""Bytes of free disk below which a training of a few hundred steps may not find room."""
NAMED = 5
"""So many runs of a kind are named; the others are counted."""

STALE = {
    "lost": "the process is gone and left no word; python -m core resume NAME goes on from the last checkpoint.",
    "stopping": "asked to stop and still alive; python -m core stop NAME goes on with it, --now ends it at once.",
    "paused": "waits for python -m core resume NAME, and holds its memory meanwhile.",
}
"""States that somebody has to look at, and what to do about each."""
NO_LOCKS = "the workspace's disk does not keep file locks"
ELSEWHERE = "start one page and one training only, or choose a workspace on a local disk with --workspace"


def installation_checks() -> list[Check]:
    """Python, the packages against what the project asks for, and the base models that ship with it."""
    return [_python(), *_packages(), _extras(), *_bases()]


def workspace_checks(workspace: Workspace) -> list[Check]:
    """Whether the workspace can be written and locked, what room there is, and what was left behind in it."""
    try:
        workspace.check_writable()
    except RunError as error:
        return [Check("fail", "Workspace", str(error))]
    return [
        Check("pass", "Workspace", f"{workspace.root} can be written."),
        _locks(workspace.root),
        _disk(workspace.root),
        _memory(),
        _presets(workspace),
        _busy(workspace),
        *_runs(workspace),
    ]


def _python() -> Check:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("fail", "Python", f"Python must be 3.11 or newer, got {text}; run make PYTHON=python3.11 run")
    return Check("pass", "Python", f"{text}.")


def _packages() -> list[Check]:
    try:
        wanted = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        return [Check("fail", "Packages", f"{DISTRIBUTION} must be installed, got only its files; run make run")]
    needed = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [sentence for each in needed if (sentence := _package_problem(each)) is not None]
    if wrong:
        return [Check("fail", "Packages", f"{sentence}; run make run, which installs it") for sentence in wrong]
    shown = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "peft", "accelerate", "gradio"))
    return [Check("pass", "Packages", f"All {len(needed)} are here in versions that fit: {shown} and others.")]


def _extras() -> Check:
    """Which optional packages are here; all but these are for development."""
    extras = [*EXTRAS.values(), *TRACKERS.items(), (DEEPSPEED, DEEPSPEED)]
    found = {extra: find_spec(module) is not None for module, extra in extras}
    there = ", ".join(extra for extra, is_there in found.items() if is_there)
    absent = ", ".join(extra for extra, is_there in found.items() if not is_there)
    more = f' Not installed: {absent}; pip install "{DISTRIBUTION}[NAME]" adds one.' if absent else ""
    return Check("info", "Extras", f"Installed: {there if there else 'none'}.{more}")


def _package_problem(wanted: Requirement) -> str | None:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} must be installed, got none"
    if not wanted.specifier.contains(found, prereleases=True):
        return f"{wanted.name} must be {wanted.specifier}, got {found}"
    return None


def _bases() -> Iterable[Check]:
    for name, folder in EMBEDDED_BASES.items():
        parts = ("model_index.json", "unet/diffusion_pytorch_model.safetensors")
        missing = [part for part in parts if not (folder / part).is_file()]
        if missing:
            rule = f"the base model {name} must be whole, got none of {', '.join(missing)} in {folder}"
            yield Check("fail", "Base models", f"{rule}; clone the project again, large files included")
    if all((folder / "model_index.json").is_file() for folder in EMBEDDED_BASES.values()):
        yield Check("pass", "Base models", f"{' and '.join(EMBEDDED_BASES)} ship with the project and are here.")


def _locks(root: Path) -> Check:
    """Some network disks accept locks and do not keep them: two trainings could then start at once."""
    path = root / ".training" / f"doctor-{os.getpid()}"
    make_folder(path.parent)
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Check("pass", "File locks", "The workspace's disk keeps them: one training at a time holds.")
    except OSError as error:
        return Check("warn", "File locks", f"{NO_LOCKS} ({error.strerror}): {ELSEWHERE}")
    finally:
        os.close(first)
        os.close(second)
        path.unlink(missing_ok=True)
    return Check("warn", "File locks", f"{NO_LOCKS}: {ELSEWHERE}")


def _disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free
    text = f"{free / 2**30:.1f} GB free where the workspace lies"
    if free < LITTLE:
        return Check("warn", "Disk", f"{text}: free some space, or choose another disk with --workspace.")
    return Check("pass", "Disk", f"{text}.")


def _memory() -> Check:
    facts = psutil.virtual_memory()
    return Check("info", "Memory", f"{facts.available / 2**30:.1f} of {facts.total / 2**30:.1f} GB are available.")


def _presets(workspace: Workspace) -> Check:
    broken = broken_presets(workspace.root)
    if broken:
        said = "; ".join(f"{name}: {error}" for name, error in broken.items())
        return Check("warn", "Presets", f"{said}. Mend or delete these files.")
    return Check("pass", "Presets", f"All {len(list_presets(workspace.root))} can be read.")


def _busy(workspace: Workspace) -> Check:
    busy = training_in_progress(workspace.root)
    return Check("info", "Training", "Nothing is training." if busy is None else f"{busy} is in progress.")


def _runs(workspace: Workspace) -> Iterable[Check]:
    """How many runs there are, and those whose process is gone or that wait for somebody."""
    experiments = list_experiments(workspace)
    folders = [*workspace.runs(), *(arm.run for found in experiments for arm in found.arms)]
    labels: dict[str, str] = {workspace.identifier(folder): derive_state(folder).label for folder in folders}
    counts = Counter(labels.values())
    said = ", ".join(f"{count} {label}" for label, count in counts.most_common())
    yield Check("info", "Runs", f"{len(folders)} in the workspace: {said}." if folders else "None yet.")
    labels |= {found.name: experiment_state(found).label for found in experiments}
    for label, what in STALE.items():
        names = [name for name, found in labels.items() if found == label]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield Check("warn", "Stale runs", f"{', '.join(names[:NAMED])}{more}: {what}")
