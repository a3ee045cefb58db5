"""Keyed random streams: each number is a function of (seed, purpose, position), never of what was drawn before.

Two runs that differ only in their rollout options therefore see the same pictures, timesteps and noises at every
step, and a resumed run the ones that an undisturbed run would have seen.
"""

import hashlib
from typing import Literal

import torch

Purpose = Literal[
    "order", "variant", "class_order", "class_variant", "timestep", "noise", "caption_dropout", "plan", "dropout",
    "adapter", "drift", "class_image", "perturbation", "placebo",
    "bucket",
]  # fmt: skip


def key(seed: int, purpose: Purpose, *position: int) -> int:
    """A 63-bit key.

    >>> key(0, "noise", 3, 0) == key(0, "noise", 3, 0)
    True
    >>> key(0, "noise", 3, 0) == key(0, "noise", 3, 1)
    False
    """
    text = "/".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, purpose: Purpose, *position: int) -> torch.Generator:
    """A fresh CPU generator for that purpose and position."""
    return torch.Generator().manual_seed(key(seed, purpose, *position))
