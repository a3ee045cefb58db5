"""Text encoders and autoencoder beside the device and the memory: they come for a call, and leave after it."""

import tempfile
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.models.family import Family
from core.runs.files import cannot_write, make_folder
from core.runs.room import require_room
from core.samples.tensors import size_of, written

CALLS = ("encode", "decode")
"""What is called of an autoencoder beside its ``forward``."""


def set_aside(family: Family, device: torch.device, folder: Path, kept: Collection[str] = ()) -> None:
    """Puts all parts of a base model but its network aside, and those that are trained: these go to ``device``.

    Their weights lie in a file without a name, which ends with this process, and are mapped from it: they take no
    memory until they are read, nor after they have left. For a call they come to ``device``, with what they are given.

    Args:
        family: the base model, on the CPU.
        device: that pictures and prompts are encoded on, and pictures are drawn on.
        folder: on whose disk the file lies.
        kept: names of the parts that are trained beside the network.

    Raises:
        RunError: there is too little room on the disk, or it does not take the file.
    """
    for name, part in family.pipeline.components.items():
        if not isinstance(part, nn.Module) or part is family.network:
            continue
        if name in kept:
            part.to(device)
            continue
        aside = Aside(part, device, folder)
        aside.leave()
        add_hook_to_module(part, aside)
        for call in CALLS:
            if hasattr(part, call):
                setattr(part, call, aside.around(getattr(part, call)))


class Aside(ModelHook):
    """Brings one part for a call. ``execution_device`` is where diffusers looks for the device to draw on."""

    def __init__(self, part: nn.Module, device: torch.device, folder: Path):
        super().__init__()
        self.execution_device = device
        tensors = [*part.parameters(), *part.buffers()]
        self._tensors = list({id(tensor): tensor for tensor in tensors}.values())  # tied ones once
        self._stored = _stored({str(index): tensor.data for index, tensor in enumerate(self._tensors)}, folder)

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Brings the part, with an adapter that was put on it since, and what it is given."""
        for tensor in (*self._tensors, *module.parameters()):
            tensor.data = tensor.data.to(self.execution_device)
        return send_to_device(args, self.execution_device), send_to_device(kwargs, self.execution_device)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Sends the part away."""
        self.leave()
        return output

    def leave(self) -> None:
        """Maps the weights anew: of what was read nothing stays."""
        with torch.inference_mode(False):  # pictures are drawn in it, and their text encoder is not of it
            mapped = load_file(f"/dev/fd/{self._stored.fileno()}")
            for index, tensor in enumerate(self._tensors):
                tensor.data = mapped[str(index)]

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, with the part there while it runs."""

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = self.pre_forward(method.__self__, *args, **kwargs)  # type: ignore[attr-defined]
            try:
                return method(*args, **kwargs)
            finally:
                self.leave()

        return call


def _stored(tensors: dict[str, Tensor], folder: Path) -> Any:
    """An open file that holds them and has no name any more.

    Raises:
        RunError: there is too little room on the disk, or it does not take the file.
    """
    make_folder(folder)
    require_room(folder, size_of(tensors), "the weights of text encoders and autoencoder")
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as named:
            with written():
                save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, named.name)
            return open(named.name, "rb")
    except OSError as error:
        raise cannot_write(folder, error) from error
