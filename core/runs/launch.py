"""Launches a detached process for a folder and records how it ends.

An argument list, never a shell; a session of its own; output to ``log.txt``, never a pipe; no input.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.config.paths import PROJECT_ROOT
from core.errors import RunError, reason_of
from core.runs.explain import cause, hint
from core.runs.failure import Failure, read_failure
from core.runs.files import cannot_write
from core.runs.folder import RunFolder
from core.runs.liveness import Exit, Identity, read_identity, write_exit, write_process
from core.runs.records import record_event
from core.runs.status import cut_short, is_about, read_status, write_status

LOG_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
"""A pipe in the log's place refuses; without the last one it would wait for a reader."""
Child = subprocess.Popen[bytes]


def child_environment() -> dict[str, str]:
    """This process's environment for a child: without ``GRADIO_*``, unbuffered, with the project importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}
    inherited = kept.get("PYTHONPATH", "")
    paths = [str(PROJECT_ROOT), *(path for path in inherited.split(os.pathsep) if path)]
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def forget_last_life(folder: RunFolder) -> None:
    """Removes what an earlier process of the run left behind: requests to it, its exit record, its launch record.

    Nothing is removed while the process that was launched for the run is alive.

    Raises:
        RunError: If a file cannot be removed.
    """
    launched = read_identity(folder.process_path)
    if launched is not None and launched.alive():
        return
    requests = [folder.stop_path, folder.pause_path, folder.save_path, folder.sample_path]
    stale = [*requests, folder.exit_path, folder.failure_path, *([] if launched is None else [folder.process_path])]
    for path in stale:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def launch(folder: RunFolder, argv: Sequence[str]) -> Child:
    """Starts a process for the folder and records which one.

    Args:
        folder: A run's or an experiment's folder; its log is appended to.
        argv: The command, an argument list.

    Returns:
        The child; whoever launched it has to call ``record_end`` when it has ended, or hand it to ``reap``.

    Raises:
        RunError: If the folder cannot be written or the program cannot be started; the status says so too.
    """
    forget_last_life(folder)
    before = read_status(folder)
    said = replace(before, phase="loading", progress=0.0).by(None).beaten()
    write_process(folder.process_path, None, list(argv))  # who looks meanwhile finds it starting, and not lost
    write_status(folder, replace(said, error=None, hint=None, message="starting"))
    try:
        child = spawn(argv, folder.log_path)
    except RunError as error:
        write_status(folder, replace(said, phase="failed", error=str(error), message=""), durable=True)
        raise
    try:
        write_process(folder.process_path, Identity.of(child.pid), list(argv))
    except RunError:
        kill_group(child)
        child.wait()
        with contextlib.suppress(OSError):
            folder.process_path.unlink()  # nothing is starting any more
        raise
    return child


def kill_group(child: Child) -> None:
    """Ends a child and all that it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def spawn(argv: Sequence[str], log_path: Path) -> Child:
    """Starts a process in a session of its own, without input, whose output is appended to a log.

    Raises:
        RunError: If the log cannot be written or the program cannot be started.
    """
    try:
        log = os.fdopen(os.open(log_path, LOG_FLAGS, 0o644), "ab")
    except OSError as error:
        raise cannot_write(log_path, error) from error
    with log:
        try:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=PROJECT_ROOT,
                env=child_environment(),
                start_new_session=True,
            )
        except OSError as error:
            rule = "must be a program that can be started"
            raise RunError(f"{argv[0]} {rule}, got an error: {reason_of(error)}") from error


def record_end(folder: RunFolder, child: Child) -> Exit:
    """Records how a child that has ended did so: exit record, event, and the last word if it left none itself.

    Raises:
        RunError: If that cannot be written.
    """
    exited = write_exit(folder.exit_path, child.pid, child.wait())
    record_event(folder.events_path, "exit", f"the process {exited.words}", pid=exited.pid, code=exited.code)
    settle(folder, exited)
    return exited


def settle(folder: RunFolder, exited: Exit) -> None:
    """Writes the last word for a process that ended without one, from its exit code and its log.

    Args:
        folder: The run.
        exited: How its process ended. Nothing is written if the status is another process's or final already.

    Raises:
        RunError: If the status cannot be written.
    """
    status = read_status(folder)
    if status.final or not is_about(folder, status, exited):
        return
    if os.path.exists(folder.stop_path):
        said = replace(status, phase="stopped", message=cut_short(exited))
    else:
        failed = read_failure(folder)
        word = Failure(cause(folder, exited, status.phase), hint(exited)) if failed is None else failed
        said = replace(status, phase="failed", error=word.error, hint=word.hint)
    write_status(folder, said, durable=True)


def reap(folder: RunFolder, child: Child) -> None:
    """Waits for the child in a thread of its own that does not keep this process alive, and records its end."""

    def wait() -> None:
        child.wait()
        # A folder that was deleted meanwhile, or a full disk, takes no record: readers then find the run lost.
        with contextlib.suppress(RunError):
            record_end(folder, child)

    threading.Thread(target=wait, name=f"reap-{child.pid}", daemon=True).start()
