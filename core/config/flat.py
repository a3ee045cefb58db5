"""Configurations as flat names and values: what forms, the command line and foreign config files speak."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from core.config.fields import ROLLOUT_BLOCK, flat_name, flat_values
from core.config.problems import all_problems, unknown_option
from core.config.run import RunConfig
from core.config.spec import OptionSpec, option_specs, show_value
from core.errors import ConfigError, Problem

UNSET_WORDS = ("unset", "none", "null", "")
TRUE_WORDS = ("true", "yes", "on", "1")
MOST_NAMES = 1000
"""Names of a file that are looked up; there are far fewer options, and each unknown one is compared with all."""
IMPORTED = "imported"
"""Section of a file beside the blocks: what was kept of an import. It holds no options, and nothing here reads it."""
FALSE_WORDS = ("false", "no", "off", "0")


def flatten(config: RunConfig) -> dict[str, Any]:
    """Every option by its flat name, in the order of the blocks.

    Args:
        config: Any configuration.

    Returns:
        Python values: tuples for lists, None for unset.
    """
    return flat_values(config)


def nest(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Puts flat values into their blocks; values are not judged.

    Args:
        flat: Flat names, with the ``scheduled_sampling_`` prefix for the rollout's options.

    Returns:
        A table for each block that has values.

    Raises:
        ConfigError: If a name is no option; names every such one with the nearest option.
    """
    specs = option_specs()
    problems = [unknown_option(name) for name in flat if name not in specs]
    if problems:
        raise ConfigError(problems)
    nested: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        spec = specs[name]
        nested.setdefault(spec.block, {})[spec.field] = value
    return nested


def difference(a: RunConfig, b: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The options in which two configurations differ, with both values, in the order of the blocks."""
    theirs = flatten(b)
    return {name: (value, theirs[name]) for name, value in flatten(a).items() if value != theirs[name]}


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Reads nested blocks, flat names, or a mixture of both.

    Args:
        values: What a TOML or JSON file holds.

    Returns:
        The options by their flat names, and a problem for every name that is none, is in the wrong
        block or is given twice.
    """
    flat: dict[str, Any] = {}
    problems: list[Problem] = []
    values = {key: value for key, value in values.items() if key != IMPORTED}
    count = len(values) + sum(len(value) for value in values.values() if isinstance(value, Mapping))
    if count > MOST_NAMES:
        return {}, (Problem("config", f"the config must hold at most {MOST_NAMES} names, got {count}"),)
    for key, value in values.items():
        if key not in RunConfig.model_fields:
            entries = [(key, value, _problem_of_name(key, None))]
        elif isinstance(value, Mapping):
            entries = [
                (flat_name(key, str(field)), inner, _problem_of_name(str(field), key)) for field, inner in value.items()
            ]
        else:
            problems.append(Problem(key, f"{key} must be a table of options, got {show_value(value)}"))
            continue
        for name, inner, problem in entries:
            if problem is None and name in flat:
                problem = Problem(
                    name, f"{name} must be given once, got it inside [{option_specs()[name].block}] and outside"
                )
            if problem is None:
                flat[name] = inner
            else:
                problems.append(problem)
    return flat, tuple(problems)


def _problem_of_name(name: str, block: str | None) -> Problem | None:
    """What is wrong with a name, at the top level (block None) or inside a block."""
    specs = option_specs()
    full = name if block is None else flat_name(block, name)
    spec = specs.get(full)
    if spec is None and block == ROLLOUT_BLOCK and name in specs:
        spec = specs[name]
        if spec.block == ROLLOUT_BLOCK:
            return Problem(name, f"{name} must be written {spec.field} inside [{ROLLOUT_BLOCK}], got the prefix twice")
    if spec is None:
        return unknown_option(full)
    if block is not None and spec.block != block:
        return Problem(spec.name, f"{spec.name} must be in [{spec.block}], got it in [{block}]; move it")
    return None


def parse_config(values: Mapping[str, Any], problems: tuple[Problem, ...] = ()) -> RunConfig:
    """Makes a configuration, or says everything that is wrong with it.

    Args:
        values: Nested blocks, flat names, or a mixture. What is left out has its default.
        problems: What is already known to be wrong; reported together with the rest.

    Raises:
        ConfigError: With every problem: names, single values, and values that contradict each other.
    """
    flat, name_problems = split(values)
    known = (*problems, *name_problems)
    blocks: dict[str, dict[str, Any]] = {block: {} for block in RunConfig.model_fields}
    try:
        config = RunConfig.model_validate({**blocks, **nest(flat)})
    except ValidationError as error:
        raise ConfigError((*known, *all_problems(error, flat))) from None
    if known:
        raise ConfigError(known)
    return config


def parse_text(name: str, text: str) -> Any:
    """The value that a text stands for, by the option's type; a text that fits no type comes back as it is.

    Args:
        name: A flat name.
        text: For example ``0.5``, ``true``, ``unset``, ``inference``; lists as a JSON array or a line for each entry.

    Returns:
        A value that validation accepts, or the text, which validation then refuses with the option's rule.
    """
    spec = option_specs().get(name)
    if spec is None:
        return text
    if spec.nullable and text.strip().lower() in UNSET_WORDS:
        return None
    return _parse_kind(spec, text)


def _parse_kind(spec: OptionSpec, text: str) -> Any:
    word = text.strip()
    match spec.kind:
        case "bool":
            return _parse_bool(word)
        case "int" | "int_or_choice":
            return _parse_number(word, int)
        case "float":
            return _parse_number(word, float)
        case "choice":
            return word
        case "texts":
            return _parse_texts(text)
        case "text":
            return text


def _parse_bool(word: str) -> bool | str:
    if word.lower() in TRUE_WORDS:
        return True
    return False if word.lower() in FALSE_WORDS else word


def _parse_number(word: str, number: type[int] | type[float]) -> int | float | str:
    try:
        return number(word)
    except ValueError:
        return word


def _parse_texts(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return tuple(line.strip() for line in text.splitlines() if line.strip())
