"""A pretended accelerator beside the CPU, so that tensors of two devices can meet where there is no GPU.

``second_device.cpp`` registers torch's device type HPU with the machine's own memory behind it. Every operation is done
by the CPU, and one that is given tensors of both raises ``MIXED DEVICES in <operation>`` where CUDA would: tensors
without dimensions and indices may lie on the CPU. Autograd, autocast and ``torch.accelerator`` know the device.

What that shows: that each tensor of a training is where it is needed, and that what is written to a copy is not missed.
What it cannot show: kernels of CUDA and their bits, streams and events that overlap, NCCL and several devices, float16
and its gradient scaling, memory figures.

It is there for good and for the whole process, and has to be there before others look for devices: only processes of
their own may install it, first of all.

usage: second_device.py PROGRAM ARGUMENTS...: runs a Python program with it.
"""

import os
import re
import runpy
import sys
import types
from pathlib import Path

import torch
from torch.utils import cpp_extension

SOURCE = Path(__file__).with_suffix(".cpp")
DEVICE = torch.device("hpu:0")


def module() -> types.ModuleType:
    """``torch.hpu``, as far as torch and accelerate ask for it."""
    made = types.ModuleType("torch.hpu")
    made._lazy_init = lambda: None
    made.is_available = lambda: True
    made.is_initialized = lambda: True
    made._is_in_bad_fork = lambda: False
    made.device_count = lambda: 1
    made.current_device = lambda: 0
    made.set_device = lambda device: None
    made.synchronize = lambda device=None: None
    made.empty_cache = lambda: None
    made.manual_seed_all = lambda seed: None  # its random numbers are the CPU's
    made.get_rng_state = lambda device=None: torch.get_rng_state()
    made.set_rng_state = lambda state, device=None: torch.set_rng_state(state)
    made.get_amp_supported_dtype = lambda: [torch.bfloat16]
    return made


def install() -> None:
    """Registers the device with torch and tells accelerate to train on it; compiled where torch keeps extensions.

    Raises:
        RuntimeError: it does not compile, or ninja is missing.
    """
    name = re.sub(r"\W", "_", f"second_device_{torch.__version__}")  # it fits no other torch
    cpp_extension.load(name, [str(SOURCE)], extra_cflags=["-O0"], is_python_module=False)
    torch._register_device_module("hpu", module())
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(DEVICE)  # it looks for HPUs by a library of their maker's


if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
