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

PAIRS, BATCH, RANK = 3, 4, 8
MIB = 2**20
SINGLE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def measure() -> None:
    """Prints medians over alternated pairs of fresh processes of one thread each, at several sizes.

    Time is that of the processor, so that whatever else the machine does counts little. Memory is what is resident
    above the loaded models, caching included; beside it that of the whole process.
    """
    from core.bench.small_sd15 import ORIGINAL, SIZES, save_pictures, save_small_sd15
    from core.bench.work import count

    print(f"random weights in SD 1.5's layout; batch {BATCH}, rank {RANK}, float32, one thread, no rollout")
    original = count(ORIGINAL, BATCH, RANK).gain
    figure("SD 1.5 itself, 512 pixels: most that the operations let expect", f"{original:.2f} ×")
    for size in SIZES:
        print(f"-- {size}", flush=True)
        work = count(size, BATCH, RANK)
        shares = f"step {work.step / 1e9:.0f}, encoder {work.pictures / 1e9:.0f}, text {work.prompts / 1e9:.1f}"
        figure(f"most that the operations let expect (GFLOP: {shares})", f"{work.gain:.2f} ×")
        with throw_away() as scratch:
            base = save_small_sd15(Path(scratch, "base"), size)
            pictures = save_pictures(Path(scratch, "pictures"), size.side)
            rows = [[one(which, base, pictures, size.side) for which in ("ours", "theirs")] for _ in range(PAIRS)]
        _print_rows(rows)


def _print_rows(rows: list[list[dict[str, float]]]) -> None:
    for label, column in (("the workbench", 0), ("the straightforward loop", 1)):
        step, held, loaded, ready = (
            statistics.median(row[column][name] for row in rows) for name in ("step", "peak", "loaded", "ready")
        )
        figure(f"{label}: steps per second of processor time", f"{1 / step:.3f}")
        figure(f"{label}: peak above the loaded models", f"{held / MIB:.0f} MiB")
        figure(f"{label}: peak of the whole process", f"{(held + loaded) / MIB:.0f} MiB")
        figure(f"{label}: from loaded to the first step, once", f"{ready:.1f} s")
    ratios = sorted(theirs["step"] / ours["step"] for ours, theirs in rows)
    memory = statistics.median(ours["peak"] / theirs["peak"] for ours, theirs in rows)
    whole = statistics.median(
        (ours["peak"] + ours["loaded"]) / (theirs["peak"] + theirs["loaded"]) for ours, theirs in rows
    )
    speed = f"speed, workbench / straightforward loop, median of pairs ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    figure(speed, f"{statistics.median(ratios):.2f} ×", "≥ 1.5")
    figure("peak memory, workbench / straightforward loop, median of pairs", f"{memory:.2f} ×", "≤ 0.9")
    figure("peak memory of the whole processes, likewise", f"{whole:.2f} ×", "≤ 0.9")


def one(which: str, base: Path, pictures: Path, side: int) -> dict[str, float]:
    """What ``core.bench.script_child`` measures of ``ours`` or ``theirs`` in a process of its own.

    Raises:
        RunError: it failed; with the last line that it said.
    """
    command = [sys.executable, "-m", "core.bench.script_child", which, str(base), str(pictures), str(side)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **SINGLE})
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise RunError(f"the process that measures {which} must end well, got {said[-1] if said else 'no word'}")
    return json.loads(done.stdout.splitlines()[-1])
