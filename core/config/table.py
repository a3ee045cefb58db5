"""The table of all options, generated from the fields: for the form, the command line and the README."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from core.config.spec import REQUIRED, Kind, OptionSpec, number_text, option_specs
from core.config.supported import supported_text


@dataclass(frozen=True)
class OptionRow:
    """One option in words.

    Attributes:
        flat_name: Its name on the command line and in flat files.
        block: The block it stands in.
        label: Its name on the page.
        type_text: What values it takes.
        default_text: Its default.
        help: What it does.
        unit: What its number counts, empty for none.
        basic: Whether the page shows it before "all settings" is opened.
        choices: The words it takes, empty if none.
        minimum: The smallest number or, where ``kind`` is float, its lower limit; None for none.
        maximum: The same for the largest number.
        supported_text: What this version supports of it, empty if all.
        kind: What kind of input it needs.
        nullable: Whether it can be unset (None).
        default: The default as a value, None when unset or when it has to be given.
        multiple_of: The step of its numbers, None for none.
    """

    flat_name: str
    block: str
    label: str
    type_text: str
    default_text: str
    help: str
    unit: str
    basic: bool
    choices: tuple[str, ...]
    minimum: float | int | None
    maximum: float | int | None
    supported_text: str
    kind: Kind
    nullable: bool
    default: Any
    multiple_of: int | None


@cache
def option_rows() -> list[OptionRow]:
    """Every option, in the order of the blocks."""
    return [_row(spec) for spec in option_specs().values()]


def markdown_table(block: str | None = None) -> str:
    """The options as a Markdown table.

    Args:
        block: Only the options of this block; None for all of them.
    """
    lines = ["| option | values | default | what it does |", "|---|---|---|---|"]
    for row in option_rows():
        if block in (None, row.block):
            unit = f" ({row.unit})" if row.unit else ""
            now = f" In this version: {row.supported_text}." if row.supported_text else ""
            cells = (f"`{row.flat_name}`", row.type_text + unit, f"`{row.default_text}`", row.help + now)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def value_text(value: Any) -> str:
    """A value as it is typed after ``--set option=``; ``parse_text`` reads it back."""
    if value is REQUIRED:
        return "required"
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return json.dumps(list(value), ensure_ascii=False)
    return str(value)


def _row(spec: OptionSpec) -> OptionRow:
    bounds = spec.bounds
    return OptionRow(
        flat_name=spec.name,
        block=spec.block,
        label=spec.label,
        type_text=_type_text(spec),
        default_text=value_text(spec.default),
        help=spec.help,
        unit=spec.unit,
        basic=spec.basic,
        choices=spec.choices,
        minimum=bounds.minimum if bounds.minimum is not None else bounds.above,
        maximum=bounds.maximum if bounds.maximum is not None else bounds.below,
        supported_text=supported_text(spec.name),
        kind=spec.kind,
        nullable=spec.nullable,
        default=None if spec.default is REQUIRED else spec.default,
        multiple_of=bounds.multiple_of,
    )


def _type_text(spec: OptionSpec) -> str:
    whole = number_text("whole number", spec.bounds)
    words = {
        "bool": "true or false",
        "int": whole,
        "float": number_text("number", spec.bounds),
        "choice": ", ".join(spec.choices),
        "text": "text",
        "texts": "list of texts",
        "int_or_choice": f"{whole}, or {', '.join(spec.choices)}",
    }[spec.kind]
    if not spec.nullable:
        return words
    return "true, false or unset" if spec.kind == "bool" else f"{words}, or unset"
