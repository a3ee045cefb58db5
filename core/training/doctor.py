"""What the model libraries say about this machine: do they load, on what would be trained, in which precisions."""

import importlib
import os
import time
from collections.abc import Iterable

import psutil
import torch

from core.runs.check import Check

LIBRARIES = (
    ("torch", "nn"),
    ("diffusers", "StableDiffusionPipeline"),
    ("transformers", "CLIPTextModel"),
    ("peft", "LoraConfig"),
    ("accelerate", "Accelerator"),
)
"""Each with a name that makes it load what a training needs."""
SIDE = 512
"""Of the square matrices that tell how fast a precision is."""
SLOW = 1.2
"""A precision that takes so much longer than float32 is not worth its name here."""


def machine_checks() -> list[Check]:
    """Libraries, device and precisions; takes the seconds that the libraries take to load."""
    return [*_libraries(), _device(), *_precisions()]


def _libraries() -> Iterable[Check]:
    broken = False
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it warns that torchvision is absent: nothing needs it
    for name, part in LIBRARIES:
        try:
            getattr(importlib.import_module(name), part)
        except (ImportError, RuntimeError, OSError, AttributeError) as error:
            broken = True
            lines = str(error).strip().splitlines()
            text = f"{name} must load, got {type(error).__name__}: {lines[-1] if lines else 'no reason'}"
            yield Check("fail", "Libraries", f"{text}; remove .venv and run make run, which installs all anew")
    if not broken:
        yield Check("pass", "Libraries", f"{', '.join(name for name, _ in LIBRARIES)} load.")


def _device() -> Check:
    if torch.cuda.is_available():
        facts = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        named = ", ".join(f"{each.name} with {each.total_memory / 2**30:.0f} GB" for each in facts)
        return Check("pass", "Device", f"{named}; a training takes the first, choose with CUDA_VISIBLE_DEVICES.")
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count()
    built = (
        "" if torch.version.cuda is None else f" This torch is built for CUDA {torch.version.cuda}: is the driver in?"
    )
    text = f"No GPU: trainings run on {cores} CPU cores with {torch.get_num_threads()} threads."
    return Check("info", "Device", f"{text} The demo is made for that; a real base model needs a GPU.{built}")


def _precisions() -> Iterable[Check]:
    """Each ``mixed_precision``, tried with a product and its gradient."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    full = _seconds(device, None)
    yield Check("pass", "Precision no", "float32 throughout.")
    for name, kind in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if name == "fp16" and device.type == "cpu":
            yield Check("info", "Precision fp16", "is refused without a GPU: take no, or bf16.")
            continue
        try:
            ratio = _seconds(device, kind) / full
        except RuntimeError as error:
            yield Check("warn", f"Precision {name}", f"does not work here ({str(error).splitlines()[0]}): take no.")
            continue
        text = f"works; a product of {SIDE} × {SIDE} takes {ratio:.1f} × the time of float32"
        advice = ": it saves no time here, take no." if ratio > SLOW else "."
        yield Check("info" if ratio > SLOW else "pass", f"Precision {name}", text + advice)


def _seconds(device: torch.device, kind: torch.dtype | None, repeats: int = 5) -> float:
    """The fastest of some products with their gradients, in seconds.

    Raises:
        RuntimeError: If the device cannot do it, or the result is not finite.
    """
    left = torch.ones(SIDE, SIDE, device=device, requires_grad=True)
    best = float("inf")
    for _ in range(repeats + 1):
        began = time.perf_counter()
        with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
            product = (left @ left).mean()
        product.backward()
        if not torch.isfinite(product):
            raise RuntimeError("the result is not finite")
        best = min(best, time.perf_counter() - began)
    return best
