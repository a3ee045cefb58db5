"""Configurations as clumsy hands and hostile ones write them, the same ones for a seed."""

import json
import math
import random
from collections.abc import Mapping
from typing import Any

from core.config.flat import nest
from core.config.spec import OptionSpec, option_specs
from core.config.table import value_text
from core.config.toml import toml_document

SPECS = option_specs()
WORDS = ("a cat", "sks", "ein süßer Kater", "猫 🐱", "x" * 300, "-rf", "$(id)", "../../etc/passwd", "a\nb", "'\"\\", "")


def deep(levels: int) -> list:
    """A list of a list of a list …"""
    found: list = []
    for _ in range(levels):
        found = [found]
    return found


GARBAGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-320, -1e308, 2**31, 2**63, 2**64, -(2**70), 10**400, math.nan,
    math.inf, -math.inf, "", " ", "\0", "nan", "1", "0.5", "1e5", "true", "False", "unset", "none", "８", "🐱",
    "\ud800", "a\ud800b", "\u202e", "x" * 10_000, "inference", "inference ", "[1", "[[[[", "/dev/zero", "~nobody",
    [], [[]], [None], [1], ["a", 1], ["a"], [""], {}, {"a": 1}, {"a": {"b": []}}, deep(50), {"": None},
)  # fmt: skip
NAMES = (
    "", " ", "rnak", "rank ", "RANK", "Rank", "model.family", "0", "🐱", "\0", "\ud800", "x" * 3000, "a\nb",
    "__class__", "stride", "max_step_offset", "scheduled_sampling_scheduled_sampling_stride",
)  # fmt: skip


def sound(dice: random.Random, spec: OptionSpec) -> Any:
    """A value that an option takes by itself, often one at the end of its range."""
    if spec.nullable and dice.random() < 0.2:
        return None
    low = spec.bounds.minimum if spec.bounds.minimum is not None else spec.bounds.above
    high = spec.bounds.maximum if spec.bounds.maximum is not None else spec.bounds.below
    match spec.kind:
        case "bool":
            return dice.random() < 0.5
        case "choice":
            return dice.choice(spec.choices)
        case "text":
            return dice.choice([word for word in WORDS if word.strip()])
        case "texts":
            return dice.sample([word for word in WORDS if word.strip()], dice.randint(0, 3))
        case "int_or_choice" if dice.random() < 0.4:
            return dice.choice(spec.choices)
        case "float":
            ends = [end for end in (spec.bounds.minimum, spec.bounds.maximum) if end is not None]
            near = [low + (high - low) * 1e-9, high - (high - low) * 1e-9, (low + high) / 2]
            return float(dice.choice([*ends, *near, dice.uniform(low, high)]))
        case _:
            step = spec.bounds.multiple_of or 1
            return dice.choice([low, high, low + step, dice.randint(low // step, high // step) * step])


def spoil(dice: random.Random, flat: dict[str, Any]) -> None:
    """Puts one thing into flat values that people get wrong."""
    spec = SPECS[dice.choice(list(SPECS))]
    match dice.choice(["garbage", "text", "range", "unknown"]):
        case "garbage":
            flat[spec.name] = dice.choice(GARBAGE)
        case "text":
            flat[spec.name] = value_text(sound(dice, spec))
        case "range":
            ends = [end for end in (spec.bounds.minimum, spec.bounds.maximum) if end is not None]
            flat[spec.name] = dice.choice([*ends, 0]) + dice.choice([-1, 1, -0.5, 1e-9])
        case "unknown":
            flat[dice.choice(NAMES)] = dice.choice(GARBAGE)


def flat_values(dice: random.Random, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Some options, half of the time all sound by themselves, which may still contradict each other.

    Args:
        dice: Decides.
        fixed: What stands in any of them, unless it is spoilt.
    """
    names = dice.sample(list(SPECS), dice.randint(0, 9))
    flat = {**{name: sound(dice, SPECS[name]) for name in names}, **fixed}
    for _ in range(dice.choice([0, 0, 1, 1, 1, 4])):
        spoil(dice, flat)
    return flat


def tangled(dice: random.Random, flat: Mapping[str, Any]) -> dict[str, Any]:
    """The values in a form that a file can have: flat, in blocks, or some here, some there, some twice, some astray."""
    known = {name: value for name, value in flat.items() if name in SPECS}
    rest = {name: value for name, value in flat.items() if name not in SPECS}
    form = dice.choice(["flat", "blocks", "mixed", "twice", "astray"])
    if form == "flat":
        return {**known, **rest}
    inside = {name: value for name, value in known.items() if form != "mixed" or dice.random() < 0.5}
    table: dict[str, Any] = {**nest(inside), **{name: known[name] for name in known.keys() - inside.keys()}, **rest}
    if form == "twice" and known:
        table |= {name: known[name] for name in dice.sample(sorted(known), 1)}
    if form == "astray":
        block = dice.choice(["model", "data", "training", "lora", "validation", "scheduled_sampling"])
        astray = dice.choice([*GARBAGE, {dice.choice([*NAMES, *SPECS]): dice.choice(GARBAGE)}])
        table[block] = astray
    return table


def as_json(table: Mapping[str, Any]) -> str:
    """JSON as Python and JavaScript write it, NaN and halves of characters included."""
    return json.dumps(table)


def as_toml(flat: Mapping[str, Any]) -> str | None:
    """TOML of flat values in blocks; None for what it cannot hold."""
    if not flat.keys() <= SPECS.keys():
        return None
    try:
        stated = {name: value for name, value in flat.items() if value is not None}
        text = toml_document({"unset": [name for name in flat if flat[name] is None]}, nest(stated))
        text.encode()
    except (TypeError, UnicodeEncodeError):
        return None
    return text
