"""A plain LoRA DreamBooth run against a loop as one writes it straightforwardly: steps per second, and peak memory."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.bench import figure
from core.bench.network import throw_away
from core.errors import RunError

BATCH, RANK = 4, 8
MIB = 2**20
SINGLE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def measure() -> None:
    """Prints, at several sizes, medians over pairs of steps taken in turns, and the memory of each in its own process.

    Time is that of the processor on one thread, so that whatever else the machine does counts little. Memory is what
    is resident above the loaded models, caching included; beside it that of the whole process.
    """
    from core.bench.small_sd15 import ORIGINAL, SIZES, save_pictures, save_small_sd15
    from core.bench.work import count

    print(f"random weights in SD 1.5's layout; batch {BATCH}, rank {RANK}, float32, one thread, no rollout")
    original = count(ORIGINAL, BATCH, RANK).gain
    figure("SD 1.5 itself, 512 pixels: speed by the count of operations", f"{original:.2f} ×")
    for size in SIZES:
        print(f"-- {size}", flush=True)
        work = count(size, BATCH, RANK)
        shares = f"step {work.step / 1e9:.0f}, encoder {work.pictures / 1e9:.0f}, text {work.prompts / 1e9:.1f}"
        figure(f"speed by the count of operations (GFLOP: {shares})", f"{work.gain:.2f} ×")
        with throw_away() as scratch:
            base = save_small_sd15(Path(scratch, "base"), size)
            pictures = save_pictures(Path(scratch, "pictures"), size.side)
            found = {which: one(which, base, pictures, size.side) for which in ("both", "ours", "theirs")}
        _print_size(found)


def _print_size(found: dict[str, dict[str, Any]]) -> None:
    steps, ours, theirs = found["both"], found["ours"], found["theirs"]
    for label, which in (("the workbench", "ours"), ("the straightforward loop", "theirs")):
        held, loaded, ready = (found[which][name] for name in ("peak", "loaded", "ready"))
        figure(f"{label}: steps per second of processor time", f"{1 / statistics.median(steps[which]):.3f}")
        figure(f"{label}: peak above the loaded models", f"{held / MIB:.0f} MiB")
        figure(f"{label}: peak of the whole process", f"{(held + loaded) / MIB:.0f} MiB")
        figure(f"{label}: from loaded to the first step, once", f"{ready:.1f} s")
    ratios = [slow / fast for fast, slow in zip(steps["ours"], steps["theirs"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    figure(f"speed, workbench / straightforward loop (quartiles {low:.2f}, {high:.2f})", f"{middle:.2f} ×", "≥ 1.5")
    figure("peak memory, workbench / straightforward loop", f"{ours['peak'] / theirs['peak']:.2f} ×", "≤ 0.9")
    whole = (ours["peak"] + ours["loaded"]) / (theirs["peak"] + theirs["loaded"])
    figure("peak memory of the whole processes, likewise", f"{whole:.2f} ×", "≤ 0.9")


def one(which: str, base: Path, pictures: Path, side: int) -> dict[str, Any]:
    """What ``core.bench.script_child`` measures of ``ours``, ``theirs`` or ``both`` in a process of its own.

    Raises:
        RunError: it failed; with the last line that it said.
    """
    command = [sys.executable, "-m", "core.bench.script_child", which, str(base), str(pictures), str(side)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **SINGLE})
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise RunError(f"the process that measures {which} must end well, got {said[-1] if said else 'no word'}")
    return json.loads(done.stdout.splitlines()[-1])
