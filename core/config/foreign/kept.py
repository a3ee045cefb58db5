"""What is kept of an imported file: the section ``imported`` beside a config's blocks, which no trainer reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config.files import LARGEST, parse_json, read_table
from core.config.flat import IMPORTED
from core.config.foreign.source import Imported
from core.config.foreign.values import plain, without_secrets
from core.config.run import RunConfig
from core.config.saved import config_text
from core.errors import ConfigError, Problem
from core.regular import size_text


@dataclass(frozen=True)
class Kept:
    """An imported file.

    Attributes:
        tool: Whose it is, empty for none.
        keys: Its keys as they were, without what looks secret.
        files: Further files of it, as they were, by what they are.
    """

    tool: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)

    @property
    def section(self) -> dict[str, Any] | None:
        """The section as it stands in a file; None for nothing."""
        if not self.tool:
            return None
        return {"from": self.tool, "keys": dict(self.keys), "files": dict(self.files)}


def kept_of(imported: Imported) -> Kept:
    """What is to be kept of an import."""
    return Kept(imported.tool, imported.kept, imported.files)


def kept_in(table: Mapping[str, Any], name: str) -> Kept:
    """The section of a table; an empty one where there is none.

    Args:
        table: What a config file holds.
        name: What to call it.

    Raises:
        ConfigError: The section is none that this workbench writes.
    """
    section = table.get(IMPORTED)
    if section is None:
        return Kept()
    tool = section.get("from") if isinstance(section, Mapping) else None
    keys = section.get("keys") if isinstance(section, Mapping) else None
    files = section.get("files", {}) if isinstance(section, Mapping) else None
    if not isinstance(tool, str) or not isinstance(keys, Mapping) or not isinstance(files, Mapping):
        rule = f"{IMPORTED} must be a table with from, keys and files, as an import writes it"
        raise ConfigError([Problem(IMPORTED, f"{rule}, got something else in {name}; leave it out")])
    tidy = without_secrets(plain({"keys": keys, "files": files}, name))
    return Kept(tool, tidy["keys"], tidy["files"])


def read_kept(path: Path) -> Kept:
    """The section of a config file, of a run's for example.

    Raises:
        ConfigError: The file cannot be read, or the section is damaged.
    """
    return kept_in(read_table(path), path.name)


def kept_text(text: object) -> Kept:
    """The section as the page holds it, empty for nothing.

    Args:
        text: JSON; anything but a text counts as nothing.

    Raises:
        ConfigError: It is no JSON, or damaged.
    """
    held = isinstance(text, str) and bool(text.strip())
    return kept_in(parse_json(str(text), IMPORTED), IMPORTED) if held else Kept()


def document(config: RunConfig, kept: Kept) -> str:
    """A config file as text: the blocks, and the section behind them.

    Raises:
        ConfigError: It would be larger than what is read of a config.
    """
    text = config_text(config, kept.section)
    if len(text.encode("utf-8", "backslashreplace")) > LARGEST:
        rule = f"{IMPORTED} must leave the config below {size_text(LARGEST)}, got more"
        raise ConfigError([Problem(IMPORTED, f"{rule}; shorten the file that is imported")])
    return text
