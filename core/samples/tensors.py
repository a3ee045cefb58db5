"""Tensors on their way to the disk: their size, whether they are numbers, and errors that name what is wrong."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from safetensors import SafetensorError
from torch import Tensor

from core.errors import RunError

_NUMBER = re.compile(r"os error (\d+)")


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of all values."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def finite_or_refuse(tensors: Mapping[str, Tensor], what: str, step: int) -> None:
    """Passes tensors of finite numbers.

    Args:
        tensors: that are about to be written.
        what: they belong to: ``adapter`` or ``optimizer``.
        step: after which they stand so.

    Raises:
        RunError: one holds NaN or an infinity.
    """
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        rest = f" and {len(bad) - 1} others" if len(bad) > 1 else ""
        raise RunError(
            f"the {what} must hold numbers, but {bad[0]}{rest} is not finite at step {step}; it was not saved"
        )


@contextmanager
def written() -> Iterator[None]:
    """Inside, what the library of the files says about the disk becomes the system's own error.

    Raises:
        OSError: a file cannot be written.
    """
    try:
        yield
    except SafetensorError as error:
        found = _NUMBER.search(str(error))
        number = int(found[1]) if found is not None else errno.EIO
        raise OSError(number, os.strerror(number)) from error
