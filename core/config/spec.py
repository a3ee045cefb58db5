"""What the typed fields say about themselves: kind, bounds, choices, help. Forms, tables and errors read it."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from core.config.fields import flat_name
from core.config.run import RunConfig

Kind = Literal["bool", "int", "float", "choice", "text", "texts", "int_or_choice"]
REQUIRED = object()
"""Stands for the default of an option that has none."""


@dataclass(frozen=True)
class Bounds:
    """The numbers that an option takes; None where there is no limit."""

    minimum: float | int | None = None
    maximum: float | int | None = None
    above: float | int | None = None
    below: float | int | None = None
    multiple_of: int | None = None


@dataclass(frozen=True)
class OptionSpec:
    """One option, as its field declares it.

    Attributes:
        name: The flat name.
        block: The block it stands in.
        field: The name in the block.
        kind: What its value is.
        nullable: Whether it may be unset (None).
        choices: The words that it takes, empty if it takes no words of a list.
        bounds: The numbers that it takes.
        default: The default, or ``REQUIRED``.
    """

    name: str
    block: str
    field: str
    kind: Kind
    nullable: bool
    choices: tuple[str, ...]
    bounds: Bounds
    default: Any
    help: str
    label: str
    unit: str
    basic: bool


@cache
def option_specs() -> dict[str, OptionSpec]:
    """Every option by its flat name, in the order of the blocks."""
    specs = {}
    for block, block_field in RunConfig.model_fields.items():
        model: Any = block_field.annotation
        properties = model.model_json_schema()["properties"]
        for field, info in model.model_fields.items():
            default = REQUIRED if info.is_required() else info.default
            spec = _spec_of(block, field, properties[field], default)
            specs[spec.name] = spec
    return specs


def _spec_of(block: str, field: str, schema: dict[str, Any], default: Any) -> OptionSpec:
    """Reads one option out of its JSON schema."""
    members = schema.get("anyOf", [schema])
    solid = [member for member in members if member.get("type") != "null"]
    choices = tuple(word for member in solid for word in _words(member))
    return OptionSpec(
        name=flat_name(block, field),
        block=block,
        field=field,
        kind=_kind(solid),
        nullable=len(solid) < len(members),
        choices=choices,
        bounds=_bounds(solid[0]),
        default=default,
        help=schema["description"],
        label=schema["label"],
        unit=schema["unit"],
        basic=schema["basic"],
    )


def _words(member: dict[str, Any]) -> list[str]:
    return [member["const"]] if "const" in member else list(member.get("enum", []))


def _kind(members: list[dict[str, Any]]) -> Kind:
    if len(members) == 2:
        return "int_or_choice"
    member = members[0]
    if _words(member):
        return "choice"
    kinds: dict[str, Kind] = {
        "boolean": "bool",
        "integer": "int",
        "number": "float",
        "string": "text",
        "array": "texts",
    }
    return kinds[member["type"]]


def _bounds(member: dict[str, Any]) -> Bounds:
    return Bounds(
        minimum=member.get("minimum"),
        maximum=member.get("maximum"),
        above=member.get("exclusiveMinimum"),
        below=member.get("exclusiveMaximum"),
        multiple_of=member.get("multipleOf"),
    )


def show_value(value: Any) -> str:
    """A value as people write it: ``true``, ``unset``, ``1.5``, ``'text'``; long ones are cut."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        value = list(value)
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, lists without end
        return f"a value of type {type(value).__name__} that is too long to show"
    return text if len(text) <= 80 else text[:76] + " …" + text[-1]


def range_text(bounds: Bounds) -> str:
    """The bounds in words: ``between 0 and 1``, ``at least 1``, ``above 0 and at most 1``; empty for none."""
    if bounds.minimum is not None and bounds.maximum is not None:
        words = f"between {_number(bounds.minimum)} and {_number(bounds.maximum)}"
    else:
        parts = (
            ("at least", bounds.minimum),
            ("above", bounds.above),
            ("at most", bounds.maximum),
            ("below", bounds.below),
        )
        words = " and ".join(f"{word} {_number(limit)}" for word, limit in parts if limit is not None)
    return f"a multiple of {bounds.multiple_of} {words}" if bounds.multiple_of is not None else words


def number_text(noun: str, bounds: Bounds) -> str:
    """The bounds behind the kind of number: ``a whole number between 1 and 4``."""
    limits = range_text(bounds)
    if bounds.multiple_of is not None:
        return f"{noun}, {limits}"
    return f"{noun} of {limits}" if limits.startswith("at ") else f"{noun} {limits}"


def _number(number: float | int) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else str(number)
