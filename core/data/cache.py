"""Encoded pictures and prompts on disk, named by what they were made from. Whoever asks for one gets the same bits."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import printable, reason_of

LAYOUT = 1
"""Counts up when what an entry holds, or how pictures are cut, changes: older entries are then not found any more."""
LIBRARIES = ("diffusers", "pillow", "tokenizers", "torch", "transformers")
_DIGEST, _VALUE = "sha256", "value"

Make = Callable[[], Tensor]


class Cache:
    """A folder of tensors; entries are never changed, only added.

    Two processes that make the same entry at once write the same bytes, each aside, and rename them into place. What
    cannot be read, or does not hold what was written, is made again; what cannot be written is done without. Both are
    said.
    """

    def __init__(self, folder: Path, maker: str, say: Callable[[str], None]):
        """Names a folder; nothing is written yet.

        Args:
            folder: made when the first entry is written.
            maker: fingerprint of the network that makes the entries.
            say: gets a sentence when an entry is damaged or cannot be written.
        """
        self.folder, self.say = folder, say
        self._maker = [LAYOUT, maker, *[f"{name} {version(name)}" for name in LIBRARIES]]
        self._writable = True

    def keep(self, facts: tuple, make: Make) -> Tensor:
        """The entry of these facts, on the CPU in float32; made where there is none.

        Args:
            facts: everything, beside the network, that the entry depends on; plain JSON values.
            make: makes it.
        """
        text = json.dumps([*self._maker, *facts])
        path = self.folder / f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}.safetensors"
        value = self._read(path)
        if value is None:
            value = make().detach().float().cpu().contiguous()
            self._write(path, value)
        return value

    def _read(self, path: Path) -> Tensor | None:
        if not os.path.lexists(path):
            return None
        try:
            with safe_open(path, framework="pt") as file:  # memory-mapped
                value, noted = file.get_tensor(_VALUE), (file.metadata() or {}).get(_DIGEST)
        except (SafetensorError, OSError) as error:
            self.say(f"the cached {path} cannot be read, and is made again: {_why(error)}")
            return None
        if noted == _digest(value):
            with contextlib.suppress(OSError):  # somebody else's file, or a disk that is only read
                os.utime(path)  # when it was used last, as disks keep no such time of their own
            return value
        self.say(f"the cached {path} does not hold what was written, and is made again")
        return None

    def _write(self, path: Path, value: Tensor) -> None:
        if not self._writable:
            return
        aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({_VALUE: value}, aside, metadata={_DIGEST: _digest(value)})
            os.replace(aside, path)
        except (SafetensorError, OSError) as error:
            self._writable = False
            self.say(f"{self.folder} cannot be written, and encoding goes on without it: {_why(error)}")
            with contextlib.suppress(OSError):
                aside.unlink()


def _digest(value: Tensor) -> str:
    """Of shape and numbers."""
    found = hashlib.sha256(str(tuple(value.shape)).encode())
    found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


def _why(error: Exception) -> str:
    """The cause in a few words, without the path, which the sentence has already."""
    return reason_of(error) if isinstance(error, OSError) else printable(str(error), 200)
