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
from core.runs.records import record_event
from core.runs.requests import forget, is_requested
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
            heed(run, writer, step - 1)
            append(run.metrics_path, {"step": step, "loss": 1.0 / step, "memory_mb": 1536.0, "seconds": 0.02})
            writer.update(step=step, total=steps)
            time.sleep(0.02)
        return writer.finish("done")


def newest(run: RunFolder) -> int:
    """The step of the newest checkpoint, 0 without one."""
    return max((int(path.name[5:]) for path in run.checkpoints_dir.glob("step-*")), default=0)


def train_until_open(run: RunFolder, *, saves: bool) -> None:
    """Takes steps from the newest checkpoint on, each saved or none, until somebody writes a file ``open``."""
    with hold_training_lock(workspace_of(run.path).root, run.name):
        writer, step = StatusWriter(run, phase="training"), newest(run)
        while not (run.path / "open").exists():
            if stop_requested(run):
                return writer.finish("stopped", message="stopped and saved")
            step += 1
            append(run.metrics_path, {"step": step, "loss": 1.0 / step})
            if saves:
                (run.checkpoints_dir / f"step-{step:06d}").mkdir()
            writer.update(step=step)
            time.sleep(0.02)
        return writer.finish("done")


def heed(run: RunFolder, writer: StatusWriter, step: int) -> None:
    """Says that it did what was asked for, as the trainer does, and waits as long as it is to be paused."""
    while not stop_requested(run):
        for request in ("save", "sample"):
            if is_requested(run, request):
                record_event(run.events_path, request, f"{request} at step {step}")
                forget(run, request)
        if not is_requested(run, "pause"):
            break
        if writer.status.phase != "paused":
            record_event(run.events_path, "pause", f"paused after step {step}")
            writer.update(phase="paused", message=f"paused after step {step}")
        writer.beat()
        time.sleep(0.02)
    writer.update(phase="training")


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
    if behaviour.startswith("linger"):
        StatusWriter(run, phase="training").finish("done" if behaviour == "linger-done" else "stopped")
        time.sleep(LIFETIME)
    if behaviour in ("stubborn", "launcher"):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        seconds = 5 * LIFETIME if behaviour == "launcher" else LIFETIME  # longer than a test waits for its end
        worker = subprocess.Popen(["sleep", str(seconds)], start_new_session=behaviour == "launcher")
        StatusWriter(run, phase="training", message=str(worker.pid))
        time.sleep(LIFETIME)
    if behaviour == "hear":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: told.append(number))
    if behaviour in ("gated", "unsaved"):
        train_until_open(run, saves=behaviour == "gated")
    else:
        train(run, 3 if behaviour == "finish" else 100_000)


if __name__ == "__main__":
    main()
