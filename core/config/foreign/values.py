"""Values as other tools write them: numbers and switches as text, and anything at all in files that are hostile."""

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

from core.config.flat import FALSE_WORDS, TRUE_WORDS, UNSET_WORDS, parse_text
from core.config.spec import OptionSpec
from core.errors import ConfigError, Problem

DEEPEST = 12
"""Tables and lists within each other; configurations have three or four."""
MOST_KEYS = 1000
"""Keys of a file, inner ones included."""
_SECRET = re.compile(
    r"(?:^|_)(?:(?:hub|hf|auth|api|access|bearer|session|wandb|write|read)_?token|token|password|passwd|api_?key|"
    r"access_key(?:_id)?|secrets?(?:_\w+)?|credentials?|webhook\w*)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|\bAKIA[A-Z0-9]{12,}|://[^/\s:@]+:[^/\s@]+@")


def plain(value: Any, name: str) -> Any:
    """A value that JSON can hold, TOML's times as text.

    Args:
        value: What a JSON or TOML reader gave.
        name: What to call the file.

    Raises:
        ConfigError: It is nested deeper than ``DEEPEST``, or has more keys and entries than are looked at.
    """
    left = [MOST_KEYS * 10]

    def walk(inner: Any, depth: int) -> Any:
        left[0] -= 1
        if depth > DEEPEST:
            raise ConfigError([Problem(name, f"{name} must be nested at most {DEEPEST} levels deep, got more")])
        if left[0] < 0:
            raise ConfigError([Problem(name, f"{name} must hold at most {MOST_KEYS * 10} values, got more")])
        if isinstance(inner, Mapping):
            return {str(key): walk(entry, depth + 1) for key, entry in inner.items()}
        if isinstance(inner, list | tuple):
            return [walk(entry, depth + 1) for entry in inner]
        if isinstance(inner, datetime.date | datetime.time):
            return inner.isoformat()
        return inner

    return walk(value, 0)


def without_secrets(value: Any) -> Any:
    """The value without any entry that looks like a token, a password or a key to an account."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items() if not is_secret(str(key), inner)}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value if not is_secret("", inner)]
    return value


def is_secret(key: str, value: Any) -> bool:
    """Whether a key's name, or a text by its look, says that it opens something; unset ones open nothing."""
    if value is None or isinstance(value, bool) or value == "":
        return False
    named = _SECRET.search(key.lstrip("-")) is not None
    return named or (isinstance(value, str) and _SECRET_VALUE.search(value) is not None)


def for_option(spec: OptionSpec, value: Any) -> Any:
    """A foreign value as the option's type has it; what fits no type comes back as it is, for validation to refuse.

    Args:
        spec: The option.
        value: A JSON value: often a number or a switch written as text.
    """
    if isinstance(value, str):
        value = _of_text(spec, value)
    if spec.kind == "bool" and type(value) is int and value in (0, 1):
        return value == 1
    if spec.kind in {"int", "int_or_choice"} and isinstance(value, float) and value.is_integer():
        return int(value)
    if spec.kind == "texts" and isinstance(value, str):
        return (value,) if value.strip() else ()
    return value


def _of_text(spec: OptionSpec, text: str) -> Any:
    if spec.kind == "texts":
        return text
    if spec.kind == "text":
        return None if spec.nullable and text.strip().lower() in UNSET_WORDS else text
    read = parse_text(spec.name, text)
    if spec.kind in {"int", "int_or_choice"} and isinstance(read, str) and read not in spec.choices:
        number = number_of(read)
        return read if number is None else number
    return read


def number_of(value: Any) -> float | None:
    """A finite number, or a text that is one; None for everything else, switches included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def switch_of(value: Any) -> bool | None:
    """A switch, or a word or number for one; None for what is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE_WORDS or word == "y":
            return True
        if word in FALSE_WORDS or word in UNSET_WORDS or word == "n":
            return False
    return None
