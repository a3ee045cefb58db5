"""Real training processes of the tiny base model, which tests stop in the act, look at, and kill."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tiny_checkpoint import save_checkpoint
from tiny_runs import SIDE, save_picture

from core.config.paths import PROJECT_ROOT
from core.config.presets import resolve_config
from core.runs.folder import RunFolder
from core.runs.status import read_status

PATIENCE = 120.0  # seconds: a deadline for what takes a few on a machine that has nothing else to do
GLANCE = 0.0003
ROLLOUT = {
    "scheduled_sampling_max_step_offset": 2,
    "scheduled_sampling_stride": 50,
    "scheduled_sampling_probability": 0.5,
}
DRAWN = {
    "validation_prompts": ["a sks cat"],
    "num_validation_images": 2,
    "validation_num_inference_steps": 3,
    "drift_pairs": 2,
    "drift_samples": 2,
}
ASIDES = {
    "saving a checkpoint": "checkpoints/.writing-step-*",
    "deleting a checkpoint": "checkpoints/.deleting-step-*",
    "saving the adapter": ".writing-adapter",
    "writing a sample": "samples/step-*/.*.png-*",
    "cutting a journal back": ".*.jsonl-*",
    "replacing the status": ".status.json-*",
}
"""What a file or folder that is written aside tells about the moment."""
HALTS = {"saving a checkpoint": "open .writing-step- 2", "deleting a checkpoint": "os.remove .safetensors 2"}
"""Audit event, text in its arguments and count of a moment in the midst of that: see ``halting``."""


class Place:
    """A base model, four pictures and an empty workspace.

    Attributes:
        folder: that holds them all.
        workspace: for runs.
    """

    def __init__(self, folder: Path, workspace: Path | None = None) -> None:
        self.folder = folder
        self.workspace = folder / "workspace" if workspace is None else workspace
        self.base, self.pictures = folder / "base", folder / "pictures"
        if not self.base.exists():
            save_checkpoint(self.base)
            self.pictures.mkdir()
            for seed in range(4):
                save_picture(self.pictures / f"{seed}.png", seed)

    def values(self, **changes) -> dict:
        """Flat values of a short training."""
        values = {
            "pretrained_model_name_or_path": str(self.base),
            "instance_data_dir": str(self.pictures),
            "instance_prompt": "a sks cat",
            "with_prior_preservation": False,
            "resolution": SIDE,
            "train_batch_size": 2,
            "rank": 2,
            "lora_alpha": 2.0,
            "learning_rate": 1e-3,
            "max_train_steps": 4,
            "checkpointing_steps": 2,
            "validation_prompts": [],
            "validation_steps": 0,
            "drift_pairs": 0,
            "drift_samples": 0,
        }
        return {**values, **changes}

    def file(self, name: str = "tiny", **changes) -> Path:
        """The same as a file for the command line."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(self.values(**changes)))
        return path

    def run(self, name: str, **changes) -> RunFolder:
        """A run folder that has not begun."""
        config = resolve_config(str(self.file(name, **changes)), base="demo", overrides={}, workspace=self.workspace)
        return RunFolder.create(self.workspace / "runs", name, config)


def environment(**changes: str) -> dict[str, str]:
    """One thread, no network."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(PROJECT_ROOT), **changes}


def halting(aim: str) -> dict[str, str]:
    """Changes of the environment in which a process stops itself in the midst of something."""
    return {"HALT_AT": HALTS[aim], "PYTHONPATH": f"{Path(__file__).parent / 'halting'}{os.pathsep}{PROJECT_ROOT}"}


def command(*words: str) -> list[str]:
    """An argument list that runs ``python -m core``."""
    return [sys.executable, "-m", "core", *words]


def typed(*words: str, prefix: tuple[str, ...] = (), **changes: str) -> subprocess.CompletedProcess:
    """Types a command and waits for its end."""
    return subprocess.run(
        [*prefix, *command(*words)], cwd=PROJECT_ROOT, env=environment(**changes), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


class Life:
    """One process of a run, which can be caught in the act: it is frozen, looked at, and thawed or killed.

    Its words go to the run's log, or through a pipe where a limit on files is to leave them alone.
    """

    def __init__(self, folder: RunFolder, verb: str, *, piped: bool = False, **changes: str) -> None:
        self.folder = folder
        self.began = time.monotonic()
        with contextlib.ExitStack() as stack:
            said = subprocess.PIPE if piped else stack.enter_context(folder.log_path.open("ab"))
            self.process = subprocess.Popen(
                command(verb, str(folder.path)), cwd=PROJECT_ROOT, env=environment(**changes), stdin=subprocess.DEVNULL,
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def stopped(self) -> bool:
        """Whether every thread of the process is stopped."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        try:
            return all(path.read_text().rpartition(")")[2].split()[0] == "T" for path in threads)
        except (FileNotFoundError, ProcessLookupError):  # one has just ended, so the process runs
            return False

    def freeze(self) -> bool:
        """Stops every thread of the process; whether there was one to stop."""
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE
        while not self.over:
            if self.stopped():
                return True
            assert time.monotonic() < deadline, "the process must stop on SIGSTOP"
        return False

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def catch(self, condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
        """Freezes the process while the condition holds; whether it could before the process's end or the deadline."""
        deadline = time.monotonic() + seconds
        while not self.over and time.monotonic() < deadline:
            if condition():
                if not self.freeze():
                    return False
                if condition():
                    return True
                self.thaw()
            time.sleep(GLANCE)
        return False

    def catch_at(self, moment: float) -> bool:
        """Freezes the process so many seconds after its start; whether it was still there."""
        time.sleep(max(self.began + moment - time.monotonic(), 0.0))
        return not self.over and self.freeze()

    def kill(self) -> int:
        """SIGKILL, as from the kernel; the return code."""
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(PATIENCE)

    def wait_halted(self) -> None:
        """Until the process has stopped itself."""
        deadline = time.monotonic() + PATIENCE
        while not self.stopped():
            assert not self.over, "the process must come to the moment at which it halts"
            assert time.monotonic() < deadline, "the process must halt in time"
            time.sleep(GLANCE)

    def wait(self) -> int:
        """Until it ends by itself; the return code."""
        return self.process.wait(PATIENCE)

    def words(self) -> list[str]:
        """Until it ends by itself: the lines that it said through its pipe."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        return [line.rsplit("\r", 1)[-1] for line in said.decode().splitlines()]

    def limit(self, what: int, value: int) -> None:
        """Sets a limit of a living process, as the system or an administrator would."""
        resource.prlimit(self.process.pid, what, (value, value))

    def end(self) -> None:
        """For a test that has failed: nothing stays behind."""
        if not self.over:
            self.kill()

    def where(self) -> str:
        """What a frozen process is doing: by what it writes aside, else by what it said."""
        for what, pattern in ASIDES.items():
            if any(self.folder.path.glob(pattern)):
                return what
        status = read_status(self.folder)
        if status.pid != self.process.pid:
            return "starting"
        return status.phase


def finish(folder: RunFolder, verb: str = "run", **changes: str) -> float:
    """Runs to the end undisturbed; how many seconds that took."""
    life = Life(folder, verb, **changes)
    try:
        assert life.wait() == 0, folder.log_path.read_text()
    finally:
        life.end()
    return time.monotonic() - life.began
