"""What several parts of one answer ask for is read once, so that all of them tell of the same moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
_KNOWN: ContextVar[dict[Hashable, Any] | None] = ContextVar("known", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Around the making of one answer. Nothing is kept beyond it: the next answer is as fresh as the files."""
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def once(key: Hashable, make: Callable[[], T]) -> T:
    """What was made under a key before in this look; made now where nothing was, and always outside of a look."""
    known = _KNOWN.get()
    if known is None:
        return make()
    if key not in known:
        known[key] = make()
    return known[key]
