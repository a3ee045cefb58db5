"""Writes the little TOML that presets need; the standard library only reads it."""

import math
from collections.abc import Mapping
from typing import Any

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def toml_value(value: Any) -> str:
    """One value as TOML.

    Args:
        value: A string, bool, int, finite float, or a tuple or list of these.

    Raises:
        TypeError: For anything else; TOML has no null.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, tuple | list):
        return _array([toml_value(item) for item in value])
    raise TypeError(f"TOML has no way to write {value!r}")


def toml_document(head: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A document of top-level keys and tables of keys.

    Args:
        head: Keys before the first table.
        tables: Table name to its keys; empty tables are left out. All names are plain words.

    Returns:
        Text that ``tomllib`` reads back into the same values (tuples as lists).
    """
    parts = [_lines(head)] if head else []
    parts += [f"[{name}]\n{_lines(table)}" for name, table in tables.items() if table]
    return "\n".join(parts)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())


def _array(items: list[str]) -> str:
    line = "[" + ", ".join(items) + "]"
    return line if len(line) <= 80 else "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04X}" if ord(character) < 0x20 or ord(character) == 0x7F else character
