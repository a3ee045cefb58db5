"""A whole configuration in a file of its own, such as a run's ``config.json``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config.files import LARGEST, read_table, write_text
from core.config.flat import IMPORTED, parse_config
from core.config.run import RunConfig
from core.errors import RunError
from core.regular import size_text


def save_config(config: RunConfig, path: Path, imported: Mapping[str, Any] | None = None) -> None:
    """Writes a configuration as JSON, nested, every option spelled out.

    Args:
        config: The configuration.
        path: The file.
        imported: What was kept of an import, for the section ``imported``; None for nothing.

    Raises:
        RunError: If the file cannot be written, or is larger than what is read of a config.
    """
    text = config_text(config, imported)
    if len(text.encode("utf-8", "backslashreplace")) > LARGEST:
        raise RunError(f"{IMPORTED} must leave {path.name} below {size_text(LARGEST)}, got more; import less")
    write_text(path, text)


def config_text(config: RunConfig, imported: Mapping[str, Any] | None = None) -> str:
    """A configuration as JSON, as ``save_config`` writes it."""
    table = config.model_dump(mode="json")
    whole = table if imported is None else {**table, IMPORTED: imported}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def load_config(path: Path) -> RunConfig:
    """Reads a complete configuration, as ``save_config`` writes it.

    Raises:
        ConfigError: If the file cannot be read or is no configuration, with every problem.
    """
    return parse_config(read_table(path))
