"""Configuration files of other tools: one file a tool, each with a table of its keys. Nothing that they say is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.files import LARGEST, parse_any_json, parse_toml, read_text
from core.config.flat import split
from core.config.foreign import diffusers_cli, kohya, simpletuner
from core.config.foreign.mapping import bare
from core.config.foreign.shell import looks_like_command, parse_command
from core.config.foreign.source import Imported, Reader, Source
from core.config.foreign.values import MOST_KEYS, plain
from core.errors import ConfigError, Problem
from core.regular import size_text

READERS: Mapping[str, Reader] = {
    reader.name: reader for reader in (simpletuner.READER, diffusers_cli.READER, kohya.READER)
}
ENDINGS = (".json", ".toml", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".txt", "")
"""What the names of files that can be read end in; all but the first two hold command lines."""
SCRIPTS = {"dreambooth": "diffusers", "train_network": "kohya", "simpletuner": "simpletuner"}
"""Parts of a script's name that tell its tool."""


def import_file(path: Path, tool: str | None = None) -> Imported:
    """Takes over a file, and files that it names where they lie beside it.

    Args:
        path: The file.
        tool: A name in ``READERS``; None finds it out.

    Raises:
        ConfigError: It cannot be read, or its tool is not known.
    """
    folder = path.absolute().parent
    return import_text(read_text(path, ENDINGS), path.name, tool, folder)


def import_text(text: str, name: str, tool: str | None = None, folder: Path | None = None) -> Imported:
    """Takes over the text of a file.

    Args:
        text: Its content.
        name: Its name, whose ending tells what it holds.
        tool: A name in ``READERS``; None finds it out.
        folder: Where it lies, for files that it names; None reads none.

    Raises:
        ConfigError: It cannot be read, or its tool is not known.
    """
    if len(text) > LARGEST:
        raise _problem(name, f"must have at most {size_text(LARGEST)}, got {size_text(len(text))}")
    source = _source(text, name, folder)
    found = _tool_of(source) if tool is None else tool
    if found is None or found not in READERS:
        rule = f"must be a file of {', '.join(READERS)}, got "
        raise _problem(name, rule + (f"{found!r}" if found else "no key that tells which; say which with --from"))
    return READERS[found].read(source)


def is_foreign(text: str, name: str) -> bool:
    """Whether a text is to be taken over rather than read as a config of this workbench.

    Args:
        text: What somebody typed or uploaded.
        name: Its name, whose ending tells what it holds.
    """
    try:
        source = _source(text, name, None)
    except ConfigError:
        return False
    own = not source.script and not split(source.table)[1]
    return not own and _tool_of(source) is not None


def _source(text: str, name: str, folder: Path | None) -> Source:
    ending = Path(name).suffix.lower()
    if ending not in (".json", ".toml") and not text.lstrip().startswith("{"):
        if not looks_like_command(text):
            raise _problem(name, "must be a .json or .toml file, or a command line that runs a .py script, got neither")
        command = parse_command(text, name)
        _check_size(command.flags, name)
        return Source(name, plain(command.flags, name), folder, command.script)
    found = parse_toml(text, name) if ending == ".toml" else parse_any_json(text, name)
    if isinstance(found, list) and any(isinstance(entry, dict) and "id" in entry for entry in found):
        raise _problem(name, "must be a config, got a list of data sets; import the config.json that names it")
    if not isinstance(found, dict):
        raise _problem(name, f"must hold a table of options, got a {type(found).__name__}")
    _check_size(found, name)
    return Source(name, plain(found, name), folder)


def _check_size(table: Mapping[str, Any], name: str) -> None:
    count = len(table) + sum(len(inner) for inner in table.values() if isinstance(inner, Mapping))
    if count > MOST_KEYS:
        raise _problem(name, f"must hold at most {MOST_KEYS} keys, got {count}")


def _tool_of(source: Source) -> str | None:
    """The tool by the script that is run, else by the most keys that give it away."""
    for part, tool in SCRIPTS.items():
        if part in source.script:
            return tool
    inner = [key for value in source.table.values() if isinstance(value, Mapping) for key in value]
    names = {bare(str(key)) for key in (*source.table, *inner)}
    scores = {reader.name: (len(names & reader.marks), len(names & reader.keys.keys())) for reader in READERS.values()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best][0] > 0 else None


def _problem(name: str, rule: str) -> ConfigError:
    return ConfigError([Problem(name, f"{name} {rule}")])
