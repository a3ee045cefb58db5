"""On what a run is trained: machine, threads and versions, and what of it changed between two lives of a run."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from core import __version__
from core.runs.files import read_object, write_whole
from core.runs.folder import RunFolder
from core.runs.records import record_event

PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate")
DECISIVE = ("packages", "machine", "processor", "instructions", "device", "gpu", "threads", "processes")
"""What has to be equal for a resumed run to end where an undisturbed one ends, bit for bit."""
KIND = "environment"
_CPU_FACTS = Path("/proc/cpuinfo")


def environment(accelerator: Accelerator) -> dict[str, Any]:
    """Versions, machine, device and the numbers of threads and processes."""
    device = accelerator.device
    return {
        "packages": {**{name: version(name) for name in PACKAGES}, "rollout-workbench": __version__},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
    }


def write_environment(folder: RunFolder, accelerator: Accelerator, *, resumed: bool) -> None:
    """Writes ``env.json``; a resumed run says what is other than in its last life.

    Args:
        folder: of the run.
        accelerator: of this process.
        resumed: whether there is a checkpoint that the run goes on from.

    Raises:
        RunError: it cannot be written.
    """
    before, now = read_object(folder.env_path), environment(accelerator)
    write_whole(folder.env_path, json.dumps(now, indent=2))
    changes = changes_between(before, now) if resumed and before is not None else []
    if changes:
        text = f"resumed with {', '.join(changes)}: equal bits to an undisturbed run are not to be had"
        record_event(folder.events_path, KIND, text)
        print(f"warning: {text}", flush=True)


def changes_between(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What decides on equal bits and differs, in words; what an older file does not tell counts as equal."""
    return [
        f"{where} {was} before and {new} now"
        for name in DECISIVE
        for where, was, new in _pairs(name, before.get(name), now[name])
        if was is not None and was != new
    ]


def _pairs(name: str, was: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if not isinstance(new, dict):
        return [(name, was, new)]
    old = was if isinstance(was, dict) else {}
    return [(package, old.get(package), number) for package, number in new.items()]


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = _CPU_FACTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
