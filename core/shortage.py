"""Errors that mean too little memory or disk, whichever library raises them. Imports nothing heavy."""

import errno

_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the machine or of the GPU."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _NO_MEMORY)


def is_out_of_room(error: BaseException) -> bool:
    """Whether a disk takes no more, or nothing at all."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM
