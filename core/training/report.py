"""What the trainer tells the outside, and how the outside makes it stop."""

import contextlib
from types import TracebackType

from tqdm import tqdm

from core.errors import WorkbenchError
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.process import stop_requested
from core.runs.status import Phase


class Stopped(Exception):
    """Raised at the next safe point after somebody asked the run to stop."""


class Report:
    """Phase, progress and signs of life of a run; the one place where a request to stop is noticed.

    Only the main process of several writes; all of them notice.
    """

    def __init__(self, folder: RunFolder, status: StatusWriter | None):
        self.folder, self.status = folder, status
        self._bar: tqdm | None = None

    def phase(self, phase: Phase, message: str, total: int = 0, unit: str = "it", done: int = 0) -> None:
        """A new phase begins, of which so much was done before: the rate shown is that of the rest."""
        self._close()
        if self.status is not None:
            self.status.update(phase=phase, message=message, progress=0.0)
            self._bar = tqdm(desc=message, total=total, initial=done, unit=unit, mininterval=1.0) if total > 0 else None
        self.check()

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done.

        Raises:
            Stopped: somebody asked the run to stop.
        """
        if self.status is not None:
            self.status.update(progress=done / max(total, 1))
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        self.check()

    def step(self, step: int, total: int) -> None:
        """An optimizer step is done. Does not stop: the loop asks, where it can save."""
        if self.status is not None:
            self.status.update(step=step, total=total, progress=step / max(total, 1))
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def check(self) -> None:
        """A sign of life, and the place where a long phase can be stopped.

        Raises:
            Stopped: somebody asked the run to stop.
        """
        if self.status is not None:
            self.status.beat()
        if stop_requested(self.folder):
            raise Stopped

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Ends the progress bar."""
        self._close()


class recorded(contextlib.AbstractContextManager):
    """Whatever ends the block is written down as the run's last word; the exception goes on, ``Stopped`` does not."""

    def __init__(self, status: StatusWriter | None):
        self.status = status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, (Stopped, KeyboardInterrupt)):
            self._say("stopped", message="stopped on request")
            return isinstance(error, Stopped)
        if error is not None and not isinstance(error, SystemExit):
            sentence = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            self._say("failed", error=sentence, hint=hint_for(error))
        return False

    def _say(self, phase: Phase, **words: str | None) -> None:
        if self.status is not None and not self.status.status.final:
            self.status.finish(phase, **words)  # type: ignore[arg-type]


def hint_for(error: BaseException) -> str | None:
    """What to change, for the failures that are recognised."""
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate" in text:
        return "lower resolution, train_batch_size or rank, or switch on gradient_checkpointing"
    if "not finite" in text:
        return "lower learning_rate, or use mixed_precision = no"
    if "no space left" in text:
        return "free some disk space, then resume the run"
    return None
