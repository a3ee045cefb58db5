"""Reads and writes configuration files. What is wrong with a file is told in one sentence, with the line."""

import json
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ConfigError, Problem, RunError, reason_of, unreadable
from core.regular import MEGABYTE, TooLarge, read_regular, size_text

LARGEST = MEGABYTE // 4
"""Bytes of a configuration; a whole one has some thousand."""


def read_table(path: Path) -> dict[str, Any]:
    """The table that a ``.toml`` or ``.json`` file holds.

    Args:
        path: The file; UTF-8, a byte order mark is allowed.

    Raises:
        ConfigError: If it is missing, a folder, a pipe or a device, larger than ``LARGEST``, no UTF-8, no TOML or JSON,
            or holds something else than a table.
    """
    text = read_text(path, (".toml", ".json"))
    return parse_toml(text, str(path)) if path.suffix.lower() == ".toml" else parse_json(text, str(path))


def read_text(path: Path, endings: tuple[str, ...]) -> str:
    """The text of a file that holds options.

    Args:
        path: The file; UTF-8, a byte order mark is allowed.
        endings: What its name may end in, in small letters; an empty one allows no ending.

    Raises:
        ConfigError: If it is missing, a folder, a pipe or a device, larger than ``LARGEST``, no UTF-8, or its name ends
            in something else.
    """
    if os.path.isdir(path):
        raise _refused(path, "must be a file, got a folder")
    if path.suffix.lower() not in endings:
        *others, last = (ending for ending in endings if ending)
        named = f"{', '.join(others)} or {last}" if others else last
        found = f"the ending {path.suffix}" if path.suffix else "no ending"
        raise _refused(path, f"must be a {named} file, got {found}")
    try:
        return read_regular(path, LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        raise _refused(path, "must be an existing file, got nothing at that place") from None
    except TooLarge as error:
        raise _refused(path, f"must be a file of options, but {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _refused(
            path, f"must be UTF-8 text, got the byte 0x{error.object[error.start]:02x} at place {error.start}"
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def parse_json(text: str, name: str = "the config") -> dict[str, Any]:
    """The table of options that a JSON text holds.

    Args:
        text: What somebody typed, pasted or uploaded.
        name: What to call it.

    Raises:
        ConfigError: If it is no JSON, names something twice, or holds something else than a table.
    """
    table = parse_any_json(text, name)
    if not isinstance(table, Mapping):
        raise _refused(name, f"must hold a table of options, got a {type(table).__name__}")
    return dict(table)


def parse_any_json(text: str, name: str) -> Any:
    """Whatever a JSON text holds.

    Raises:
        ConfigError: If it is no JSON, too long, or names something twice in one table.
    """
    if len(text) > LARGEST:
        raise _refused(name, f"must have at most {size_text(LARGEST)}, got {size_text(len(text))}")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        where = f"{_middle(error.msg)} (at line {error.lineno}, column {error.colno})"
        raise _refused(name, f"must be valid JSON, got an error: {where}") from None
    except (ValueError, RecursionError) as error:
        raise _refused(name, f"must be valid JSON, got an error: {_middle(str(error))}") from None


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The table that a TOML text holds.

    Raises:
        ConfigError: If it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(name, f"must be valid TOML, got an error: {_middle(str(error))}") from None


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all, and makes its folder.

    Args:
        path: The file; an old one is replaced.
        text: Written as UTF-8.

    Raises:
        RunError: If the folder cannot be made or the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(text.encode("utf-8", "backslashreplace"))  # half a character, from a form or a file's name
        aside.replace(path)
    except OSError as error:
        raise RunError(
            f"{path} must be in a folder that can be written, got an error: {reason_of(error)}; choose another folder"
        ) from None
    finally:
        if aside.is_file():
            aside.unlink()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which each name stands once, as TOML has it."""
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} is given twice")
    return table


def _middle(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _refused(path: Path | str, complaint: str) -> ConfigError:
    return ConfigError([Problem(os.path.basename(path), f"{path} {complaint}")])


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    if isinstance(error, OSError):
        return ConfigError([unreadable(path.name, path, error)])
    return _refused(path, f"must be the name of a file, got {str(path)!r}")
