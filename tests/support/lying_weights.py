"""Safetensors files that lie, and a pickle that would run."""

import json
import pickle
import struct
from pathlib import Path

DOWN, UP = "unet.a.lora_A.weight", "unet.a.lora_B.weight"


def written(header, body=b"", length=None):
    """A safetensors file, whatever it says of itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def pair(down, up, size=0, metadata=None, **more):
    """A LoRA of one module; `size` zero bytes of body."""
    named = {} if metadata is None else {"__metadata__": metadata}
    return written({**named, DOWN: down, UP: up, **more}, bytes(size))


SOUND = entry([1, 4], 0, 16), entry([4, 1], 16, 32)
LIES = {
    "longer than the file": written({}, length=1000),
    "2^63 long": written(b"{}", length=1 << 63),
    "2^64 - 1 long": written(b"{}", length=(1 << 64) - 1),
    "longer than memory, within bounds": written(b"{}", length=99_000_000),
    "empty": b"",
    "seven bytes": b"\x08\0\0\0\0\0\0",
    "no tensors": written({}),
    "negative offsets": pair(entry([1, 4], -16, 0), SOUND[1], 32),
    "offsets the wrong way round": pair(entry([1, 4], 16, 0), SOUND[1], 32),
    "overlapping offsets": pair(SOUND[0], entry([4, 1], 0, 16), 16),
    "offsets with a hole": pair(SOUND[0], entry([4, 1], 32, 48), 48),
    "offsets beyond the file": pair(SOUND[0], entry([4, 1], 16, 1 << 40), 32),
    "offsets beyond 64 bits": pair(SOUND[0], entry([4, 1], 16, 1 << 70), 32),
    "a body that is cut": pair(*SOUND, 31),
    "a body that is too long": pair(*SOUND, 33),
    "a shape beyond memory": pair(entry([1 << 62, 1 << 62], 0, 16), SOUND[1], 32),
    "a type that is none": pair(entry([1, 4], 0, 16, "F99"), SOUND[1], 32),
    "a type that is a number": pair(entry([1, 4], 0, 16, 7), SOUND[1], 32),
    "header is a list": written([1, 2]),
    "header is null": written(b"null"),
    "header is a text": written("x"),
    "header is no JSON": written(b"{{{{"),
    "header is no UTF-8": written(b'{"\xff": 1}'),
    "header of 100,000 lists": written(b"[" * 100_000),
    "header of 50,000 objects": written(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "metadata of 50,000 objects": written(b'{"__metadata__":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
    "metadata of numbers": written({"__metadata__": {"a": 1}}),
    "half a character as key": written(
        b'{"\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4)
    ),
    "a pickle": pickle.dumps({"a": 1}),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
