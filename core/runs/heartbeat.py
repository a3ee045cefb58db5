"""How a process says what it is doing: the one writer of a run's ``status.json`` while the process lives."""

import time
from dataclasses import replace

from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.launch import forget_last_life
from core.runs.liveness import Identity
from core.runs.status import FINAL_PHASES, Phase, Status, read_status, write_status

BEAT_SECONDS = 1.0


class StatusWriter:
    """Writes the status at every change, and a sign of life at most once a second.

    Attributes:
        status: What was last said.
    """

    def __init__(
        self, folder: RunFolder, *, phase: Phase = "loading", message: str = "", arm: str | None = None
    ) -> None:
        """Says at once that this process has begun; step and total go on from what the run had reached.

        Args:
            folder: The run.
            phase: What it begins with.
            message: A sentence for people.
            arm: Which arm of an experiment it is; None keeps what is known.

        Raises:
            RunError: If the status cannot be written.
        """
        self.folder = folder
        forget_last_life(folder)
        before = read_status(folder)
        self.status = Status(
            phase=phase,
            step=before.step,
            total=before.total,
            started=time.time(),
            message=message,
            arm=before.arm if arm is None else arm,
        ).by(Identity.own())
        self._write()

    def update(
        self,
        *,
        phase: Phase | None = None,
        step: int | None = None,
        total: int | None = None,
        message: str | None = None,
        progress: float | None = None,
    ) -> None:
        """Says what changed; what is not given stays, but a new phase begins with progress 0 and no message.

        Args:
            phase: What the process does now; not a final one, use ``finish``.
            step: Optimizer steps taken.
            total: Optimizer steps planned.
            message: A sentence for people.
            progress: 0..1 within the phase.

        Raises:
            RunError: If the phase is final, or the status cannot be written.
        """
        if phase in FINAL_PHASES:
            raise RunError(f"phase must not be final here, got {phase}; use finish")
        now = self.status
        if phase is not None and phase != now.phase:
            now = replace(now, phase=phase, progress=0.0, message="")
        now = replace(
            now,
            step=now.step if step is None else step,
            total=now.total if total is None else total,
            message=now.message if message is None else message,
            progress=now.progress if progress is None else min(max(progress, 0.0), 1.0),
        )
        if now == self.status:
            self.beat()
            return
        self.status = now
        self._write()

    def beat(self) -> None:
        """Gives a sign of life if the last one is a second old; nothing after ``finish``. Call it as often as you like.

        Raises:
            RunError: If the status cannot be written.
        """
        if not self.status.final and time.monotonic() - self._written >= BEAT_SECONDS:
            self._write()

    def finish(self, phase: Phase, *, error: str | None = None, hint: str | None = None, message: str = "") -> None:
        """Says the last word, and waits until it is on the disk.

        Args:
            phase: done, stopped or failed.
            error: Why it failed, a sentence.
            hint: What to change.
            message: A sentence for people.

        Raises:
            RunError: If the phase is not final, or the status cannot be written.
        """
        if phase not in FINAL_PHASES:
            raise RunError(f"phase must be one of {', '.join(FINAL_PHASES)}, got {phase}")
        progress = 1.0 if phase == "done" else self.status.progress
        self.status = replace(self.status, phase=phase, error=error, hint=hint, message=message, progress=progress)
        self._write(durable=True)

    def _write(self, *, durable: bool = False) -> None:
        self.status = self.status.beaten()
        write_status(self.folder, self.status, durable=durable)
        self._written = time.monotonic()
