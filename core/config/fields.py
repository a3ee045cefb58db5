"""What every block of options shares: strictness, the declaration of one option, and its flat name."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

ROLLOUT_BLOCK = "scheduled_sampling"
ROLLOUT_PREFIX = "scheduled_sampling_"
MOST_STEPS = 10_000_000
NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"


class Block(BaseModel):
    """A frozen group of options. Types are strict: ``"1"`` is no number, ``"false"`` no switch, nan and inf nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def option(
    default: Any,
    help: str,
    *,
    label: str,
    unit: str = "",
    basic: bool = False,
    **bounds: Any,
) -> Any:
    """Declares one option: the single place where its default, help, label, unit and bounds are written.

    Args:
        default: The default, or ``...`` for an option that has to be given.
        help: One short sentence: what it does, and which end means what.
        label: The name beside the input on the page.
        unit: What the number counts, empty for none.
        basic: Whether the page shows it before "all settings" is opened.
        **bounds: pydantic's ``ge``, ``gt``, ``le``, ``lt``, ``multiple_of``.
    """
    extra = {"label": label, "unit": unit, "basic": basic}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def flat_name(block: str, field: str) -> str:
    """The name of an option outside its block: the field's own, with a prefix for the rollout block."""
    return ROLLOUT_PREFIX + field if block == ROLLOUT_BLOCK else field


def flat_values(config: BaseModel) -> dict[str, Any]:
    """Every option of a whole configuration by its flat name, in the order of the blocks."""
    return {
        flat_name(block, field): getattr(getattr(config, block), field)
        for block in type(config).model_fields
        for field in type(getattr(config, block)).model_fields
    }


def _tuple_of(value: Any) -> Any:
    """Lists are what TOML, JSON and forms have where the configuration keeps a tuple."""
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, Field(pattern=NOT_BLANK)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_tuple_of)]
