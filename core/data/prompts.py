"""How much of a prompt a text encoder reads, told before anything heavy is loaded. Imports no torch."""

import json
import re
from pathlib import Path
from typing import Any

from core.regular import MEGABYTE, read_regular

_ENDS = 2
USUALLY_READ = 77 - _ENDS
"""Tokens that CLIP's text encoders take without start and end (Radford et al. 2021)."""
LATER_ENCODERS = ("text_encoder_2", "text_encoder_3")
T5_TOKENS = 256
"""That a T5 encoder beside CLIP's is given by its pipeline."""
GUIDED_TOKENS = 512
"""The same for a FLUX.1 with a guidance embedding."""
T5_FAMILIES = {"sd3": T5_TOKENS, "flux": GUIDED_TOKENS}
"""Whose base models have one as a rule, and the most that it is given."""
NETWORK_CONFIG = Path("transformer", "config.json")
MOST_TOKENS = 4096
TOKENIZER_CONFIG = Path("tokenizer", "tokenizer_config.json")
_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+", re.IGNORECASE)
"""Where CLIP's tokenizer always cuts; each piece is at least one token."""


def tokens_read(base: Path | None, family: str = "stable_diffusion") -> int:
    """How many tokens of a prompt a base model's text encoder reads, its start and end taken off.

    Args:
        base: the base model's folder, in diffusers' layout; what it does not say is taken from CLIP. None for a model
            that is not here.
        family: of a model that is not here.
    """
    if base is None and family in T5_FAMILIES:
        return T5_FAMILIES[family] - 1  # its end
    configs = [] if base is None else [_table(base / name / "config.json") for name in LATER_ENCODERS]
    if any(config.get("model_type") == "t5" for config in configs):
        is_guided = base is not None and _table(base / NETWORK_CONFIG).get("guidance_embeds") is True
        return (GUIDED_TOKENS if is_guided else T5_TOKENS) - 1
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


def _table(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        table = json.loads(read_regular(path, MEGABYTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _length(path: Path) -> int | None:
    length = _table(path).get("model_max_length")
    return length if type(length) is int and _ENDS < length <= MOST_TOKENS else None
