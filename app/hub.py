"""What of a hub model is missing on this machine, asked beside the page's handlers: none of them waits for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import NamedTuple

from core.errors import DataError
from core.models.fetching import Missing, missing_of

PATIENCE = 2.0
"""Seconds that a handler waits for the hub; the answer of a slower one is there when it is asked for again."""
FRESH = 20.0
"""Seconds after which an answer is asked for anew: the model may have been fetched meanwhile."""
AT_ONCE = 4
"""Questions that are under way together; the page asks no more for whoever types many names."""

Answer = Missing | DataError | None
"""What is missing, why that cannot be told, or nothing so far."""


class Model(NamedTuple):
    """A hub model as the options name it."""

    name: str
    revision: str | None
    variant: str | None


class Hub:
    """Asks the hub in threads of its own and keeps the last answers.

    Args:
        ask: What asks, and may take its time.
        clock: Seconds, growing.
    """

    def __init__(self, ask: Callable[..., Missing] = missing_of, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock, self._lock = ask, clock, threading.Lock()
        self._asked: dict[Model, tuple[float, Future[Answer]]] = {}

    def missing(self, model: Model, patience: float = PATIENCE) -> Answer:
        """What is missing of a model here, as far as that is known within ``patience`` seconds."""
        future = self._question(model)
        if future is None:
            return None
        wait([future], timeout=patience)
        return future.result() if future.done() else None

    def _question(self, model: Model) -> Future[Answer] | None:
        """The question that is under way or freshly answered, or a new one; None while there are too many."""
        with self._lock:
            now = self._clock()
            self._asked = {
                key: (when, future)
                for key, (when, future) in self._asked.items()
                if not future.done() or now - when < FRESH
            }
            if model in self._asked:
                return self._asked[model][1]
            if sum(not future.done() for _, future in self._asked.values()) >= AT_ONCE:
                return None
            future: Future[Answer] = Future()
            self._asked[model] = now, future
        threading.Thread(target=self._answer, args=(model, future), name="hub", daemon=True).start()
        return future

    def _answer(self, model: Model, future: Future[Answer]) -> None:
        found: Answer = None
        try:
            found = self._ask(*model)
        except DataError as error:
            found = error
        finally:
            future.set_result(found)


HUB = Hub()
"""The page's own."""
