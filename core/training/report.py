"""What the trainer tells the outside, and how the outside makes it stop."""

import contextlib
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from core.errors import RunError
from core.runs.failure import read_failure, write_failure
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.process import stop_requested
from core.runs.status import Phase
from core.training.failures import hint_for, told
from core.training.others import lost_contact


class Stopped(Exception):
    """Raised at the next safe point after somebody asked the run to stop."""


class Report:
    """Phase, progress and signs of life of a run; the one place where a request to stop is noticed.

    Only the main process of several writes; all of them notice.
    """

    def __init__(self, folder: RunFolder, status: StatusWriter | None):
        self.folder, self.status = folder, status
        self._bar: tqdm | None = None

    def phase(
        self,
        phase: Phase,
        message: str,
        total: int = 0,
        unit: str = "it",
        done: int = 0,
        *,
        stoppable: bool = True,
    ) -> None:
        """A new phase begins.

        Args:
            phase: Which.
            message: What it does, for people.
            total: How much there is to do; 0 where nobody knows.
            unit: Of what.
            done: How much of it was done before: the rate shown is that of the rest.
            stoppable: Whether it may end here on request; not where several processes must stop together.

        Raises:
            Stopped: somebody asked the run to stop.
        """
        self._close()
        if self.status is not None:
            self.status.update(phase=phase, message=message, progress=0.0)
            self._bar = tqdm(desc=message, total=total, initial=done, unit=unit, mininterval=1.0) if total > 0 else None
        if stoppable:
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
        self.beat()
        if stop_requested(self.folder):
            raise Stopped

    def beat(self) -> None:
        """A sign of life."""
        if self.status is not None:
            self.status.beat()

    def _close(self) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):  # a full disk takes no log: whatever else it does not take tells more
                self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Ends the progress bar."""
        self._close()


class recorded(contextlib.AbstractContextManager):
    """Whatever ends the block is written down as the run's last word; the exception goes on, ``Stopped`` does not.

    A failure that is recognised goes on as a ``RunError`` with a sentence, and what to do about it as its note. Of
    several processes the main one has the status; another one leaves word of its failure in the folder.
    """

    def __init__(self, status: StatusWriter | None, folder: RunFolder | None = None, process: int = 0):
        self.status, self.folder, self.process = status, folder, process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, (Stopped, KeyboardInterrupt)):
            self._say("stopped", message="stopped on request")
            return isinstance(error, Stopped)
        if error is not None and not isinstance(error, SystemExit):
            if self.status is None and self.folder is not None and lost_contact(error) and stop_requested(self.folder):
                return True  # the main process stopped while this one waited for it
            self._fail(error)
        return False

    def _fail(self, error: BaseException) -> None:
        log = Path("the log") if self.status is None else self.status.folder.log_path
        known, hint = told(error, log), hint_for(error)
        sentence = f"{type(error).__name__}: {error}" if known is None else str(known)
        if self.folder is not None:
            sentence, hint = self._shared(sentence, hint, lost=lost_contact(error))
        self._say("failed", error=sentence, hint=hint)
        if known is None:
            return
        if hint is not None:
            known.add_note(f"what to do: {hint}")
        if known is not error:
            raise known from error

    def _shared(self, sentence: str, hint: str | None, *, lost: bool) -> tuple[str, str | None]:
        """Among several processes: the word of the one that failed first, where this one only lost it."""
        assert self.folder is not None
        if self.process > 0 and not lost:
            with contextlib.suppress(RunError):  # a full disk: the log has the sentence too
                write_failure(self.folder, self.process, sentence, hint)
        first = read_failure(self.folder) if lost else None
        return (sentence, hint) if first is None else (first.error, first.hint)

    def _say(self, phase: Phase, **words: str | None) -> None:
        if self.status is None or self.status.status.final:
            return
        try:
            self.status.finish(phase, **words)  # type: ignore[arg-type]
        except RunError as error:  # a full disk: the terminal and the log are what is left, and the cause comes first
            with contextlib.suppress(OSError):  # the log lies on that disk too
                print(f"the last word, {phase}, could not be written: {error}", flush=True)
