"""How much of a prompt a text encoder reads, told before anything heavy is loaded. Imports no torch."""

import json
import re
from pathlib import Path

from core.regular import MEGABYTE, read_regular

_ENDS = 2
USUALLY_READ = 77 - _ENDS
"""Tokens that CLIP's text encoders take without start and end (Radford et al. 2021)."""
MOST_TOKENS = 4096
TOKENIZER_CONFIG = Path("tokenizer", "tokenizer_config.json")
_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+", re.IGNORECASE)
"""Where CLIP's tokenizer always cuts; each piece is at least one token."""


def tokens_read(base: Path | None) -> int:
    """How many tokens of a prompt a base model's text encoder reads, its start and end taken off.

    Args:
        base: the base model's folder, in diffusers' layout; what it does not say is taken from CLIP. None for a model
            that is not here.
    """
    length = None if base is None else _length(base / TOKENIZER_CONFIG)
    return USUALLY_READ if length is None else length - _ENDS


def tokens_at_least(prompt: str) -> int:
    """How many tokens a prompt surely has; rare and long words make more."""
    return sum(1 for _ in _PIECES.finditer(prompt))


def cut_note(prompt: str, most: int) -> str | None:
    """That the end of a prompt has no effect, in words; None where that is not sure.

    Args:
        prompt: as it will be encoded.
        most: from ``tokens_read``.
    """
    count = tokens_at_least(prompt)
    if count <= most:
        return None
    return f"the text encoder reads the first {most} tokens; this prompt has at least {count}: its end has no effect"


def _length(path: Path) -> int | None:
    try:
        table = json.loads(read_regular(path, MEGABYTE))
    except (OSError, ValueError, RecursionError):
        return None
    length = table.get("model_max_length") if isinstance(table, dict) else None
    return length if type(length) is int and _ENDS < length <= MOST_TOKENS else None
