"""What hostile input is answered with: sentences only, and nothing that waits or grows without end."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from core.errors import LONGEST_SENTENCE, ConfigError, DataError, WorkbenchError, printable

NOBODY = 65534
_TRACES = ("Traceback", "Error(", "Exception", " at 0x", "<class ")


def told(action: Callable[[], object]) -> dict[str, str]:
    """What an action complains about, by what it is filed under; every complaint is one whole sentence."""
    with pytest.raises(WorkbenchError) as caught:
        action()
    return sentences(caught.value)


def sentences(error: WorkbenchError) -> dict[str, str]:
    """The sentences of an error, checked."""
    if isinstance(error, ConfigError | DataError):
        found = {problem.option: problem.message for problem in error.problems}
    else:
        found = {str(index): line for index, line in enumerate(str(error).splitlines())}
    assert found
    for option, sentence in found.items():
        assert sentence == printable(sentence)
        assert " " in sentence
        assert len(sentence) <= LONGEST_SENTENCE + 3
        assert not any(trace in sentence for trace in _TRACES), sentence
        option.encode()
        sentence.encode()
    return found


class Hang(BaseException):
    """Something waits for what never comes. No OSError, which the code under test would turn into a sentence."""


@contextmanager
def no_hang(seconds: int) -> Iterator[None]:
    """Raises inside where something waits for what never comes.

    Args:
        seconds: After which that is sure.
    """

    def give_up(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def held() -> dict[str, int]:
    """What a process holds on to: open files and living tensors."""
    gc.collect()
    tensors = sum(1 for each in gc.get_objects() if isinstance(each, torch.Tensor))
    return {"files": len(os.listdir("/proc/self/fd")), "tensors": tensors, "objects": len(gc.get_objects())}
