"""Waiting for other processes: until what is waited for is there, or a test has waited long enough to fail."""

import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds: what takes one on an idle machine takes many beside other tests."""


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until ``condition()`` holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
