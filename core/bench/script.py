"""A plain LoRA DreamBooth run against a loop as one writes it straightforwardly: steps per second, and peak memory."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from core.bench import figure
from core.bench.network import throw_away
from core.errors import RunError

PAIRS = 5
MIB = 2**20


def measure() -> None:
    """Prints medians over alternated pairs of fresh processes; memory is what is resident above the loaded models."""
    from core.bench.small_sd15 import ABOUT, save_pictures, save_small_sd15

    print(f"random weights in SD 1.5's layout, widths / 8: {ABOUT}; batch 4, float32, no rollout")
    with throw_away() as scratch:
        base = save_small_sd15(Path(scratch, "base"))
        pictures = save_pictures(Path(scratch, "pictures"))
        rows = [[one(which, base, pictures) for which in ("ours", "theirs")] for _ in range(PAIRS)]
    for label, column in (("the workbench", 0), ("the straightforward loop", 1)):
        step, held = (statistics.median(row[column][name] for row in rows) for name in ("step", "peak"))
        figure(f"{label}: steps per second", f"{1 / step:.3f}")
        figure(f"{label}: peak above the loaded models", f"{held / MIB:.0f} MiB")
    speed = statistics.median(theirs["step"] / ours["step"] for ours, theirs in rows)
    memory = statistics.median(ours["peak"] / theirs["peak"] for ours, theirs in rows)
    figure("speed, workbench / straightforward loop, median of pairs", f"{speed:.2f} ×", "≥ 1.5")
    figure("peak memory, workbench / straightforward loop, median of pairs", f"{memory:.2f} ×", "≤ 0.9")


def one(which: str, base: Path, pictures: Path) -> dict[str, float]:
    """Seconds a step, and bytes, of ``ours`` or ``theirs`` in a process of its own.

    Raises:
        RunError: it failed; with the last line that it said.
    """
    command = [sys.executable, "-m", "core.bench.script_child", which, str(base), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise RunError(f"the process that measures {which} must end well, got {said[-1] if said else 'no word'}")
    return json.loads(done.stdout.splitlines()[-1])
