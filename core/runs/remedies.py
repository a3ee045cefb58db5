"""Failures that are recognised: what to change after each, in words and as options of a new run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.config.run import RunConfig

Changes = Mapping[str, Any]
CALMER = 10
"""The learning rate of a diverged training is divided by this."""


@dataclass(frozen=True)
class Remedy:
    """What helps after one kind of failure.

    Attributes:
        signs: Texts, in small letters, one of which its error holds.
        hint: What to do, in words that name the options.
        changes: Flat names and new values for a run that is tried again; empty where no option helps, but something
            outside, after which the run can be resumed as it is.
    """

    signs: tuple[str, ...]
    hint: str
    changes: Callable[[RunConfig], Changes]


def _less_memory(config: RunConfig) -> Changes:
    """The first that is left of: checkpointing, half the batch with as many items a step, half the rank."""
    training = config.training
    if not training.gradient_checkpointing:
        return {"gradient_checkpointing": True}
    if training.train_batch_size > 1 and training.train_batch_size % 2 == 0:
        return {
            "train_batch_size": training.train_batch_size // 2,
            "gradient_accumulation_steps": training.gradient_accumulation_steps * 2,
        }
    if config.lora.rank > 1:
        return {"rank": config.lora.rank // 2}
    return {}


def _calmer(config: RunConfig) -> Changes:
    training = config.training
    changes: dict[str, Any] = {"learning_rate": training.learning_rate / CALMER}
    if training.text_encoder_lr is not None:
        changes["text_encoder_lr"] = training.text_encoder_lr / CALMER
    return changes | ({} if training.mixed_precision == "no" else {"mixed_precision": "no"})


def _nothing(config: RunConfig) -> Changes:
    return {}


REMEDIES: Mapping[str, Remedy] = {
    "out_of_memory": Remedy(
        ("out of memory", "can't allocate", "memoryerror", "cannot allocate memory", "bad_alloc"),
        "lower resolution, train_batch_size or rank, or switch on gradient_checkpointing",
        _less_memory,
    ),
    "not_finite": Remedy(("not finite",), "lower learning_rate, or use mixed_precision = no", _calmer),
    "disk_full": Remedy(
        ("no space left", "disk quota", "file too large", "free some space"),
        "free some disk space, then resume the run",
        _nothing,
    ),
}
"""By name; the first whose signs are found counts."""


def remedy_for(text: str) -> Remedy | None:
    """What helps after a failure, by what was said of it; None for one that is not recognised."""
    small = text.lower()
    return next((known for known in REMEDIES.values() if any(sign in small for sign in known.signs)), None)
