"""A trainer without a model, for real processes in tests: ``stub_trainer.py RUN BEHAVIOUR``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.journal import append
from core.runs.lock import hold_training_lock
from core.runs.process import stop_requested
from core.runs.workspace import workspace_of

LIFETIME = 25.0
told = []


def train(run: RunFolder, steps: int) -> None:
    """Takes steps until there are enough, a stop is asked for or a signal came."""
    with hold_training_lock(workspace_of(run.path).root, run.name):
        writer = StatusWriter(run, phase="training")
        deadline = time.monotonic() + LIFETIME
        for step in range(1, steps + 1):
            if stop_requested(run) or told or time.monotonic() > deadline:
                return writer.finish("stopped", message="stopped and saved")
            append(run.metrics_path, {"step": step, "loss": 1.0 / step})
            writer.update(step=step, total=steps)
            time.sleep(0.02)
        return writer.finish("done")


def main() -> None:
    """Behaves as told."""
    run, behaviour = RunFolder(Path(sys.argv[1])), sys.argv[2]
    if behaviour == "crash":
        StatusWriter(run, phase="caching")
        raise OSError("the picture cat.png cannot be read")
    if behaviour == "environment":
        facts = {"cwd": os.getcwd(), "argv": sys.argv, "sid": os.getsid(0), "pid": os.getpid()}
        (run.path / "seen.json").write_text(json.dumps({"environ": dict(os.environ), **facts}))
        raise SystemExit(0)
    if behaviour == "stubborn":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        worker = subprocess.Popen(["sleep", str(LIFETIME)])
        StatusWriter(run, phase="training", message=str(worker.pid))
        time.sleep(LIFETIME)
    if behaviour == "hear":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: told.append(number))
    train(run, 3 if behaviour == "finish" else 100_000)


if __name__ == "__main__":
    main()
