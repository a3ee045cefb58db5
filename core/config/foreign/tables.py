"""The keys of each tool as Markdown tables, for the documentation."""

from collections.abc import Mapping

from core.config.foreign import READERS
from core.config.foreign.mapping import Key
from core.config.foreign.report import STANDINGS


def markdown_tables() -> str:
    """A section for each tool: what becomes of each key that is known, the mapped ones first."""
    return "\n".join(f"### {reader.title}\n\n{_table(reader.keys)}" for reader in READERS.values())


def _table(keys: Mapping[str, Key]) -> str:
    order = list(STANDINGS)
    lines = ["| key | here | | what differs, or why it is left out |", "|---|---|---|---|"]
    for key in sorted(keys.values(), key=lambda key: (order.index(key.standing), key.name)):
        names = ", ".join(f"`{name}`" for name in (key.name, *key.aliases))
        option = f"`{key.option}`" if key.option else ""
        lines.append(f"| {names} | {key.standing} | {option} | {key.words.replace('|', '/')} |")
    return "\n".join(lines) + "\n"
