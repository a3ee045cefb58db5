"""What the processes of one training owe each other: to stay in touch, and to end when one of them ends.

A launcher ends the others when one fails. What is left to do here: an end of the launcher itself that nobody sees, a
process that says nothing any more, and a sentence for both.
"""

import os
import signal
import threading
import time
from datetime import timedelta

from core.runs.processes import is_launched

PATIENCE = timedelta(hours=2)
"""How long a process waits for another one before it fails: validation pictures and class pictures are drawn by one
process while the others wait. A pause does not count."""
POLL_SECONDS = 1.0
_SIGNS = ("connection closed by peer", "connection reset by peer", "timed out waiting", "broken pipe", "watchdog")


def lost_contact(error: BaseException) -> bool:
    """Whether it says that another process of the training is gone, or was waited for in vain."""
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def end_with_launcher() -> None:
    """Ends this process when the one that launched it is gone: it would train on, seen by nobody."""
    if not is_launched():
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        print("the launcher of this training is gone; ending", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-launcher", daemon=True).start()
