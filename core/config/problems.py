"""Turns what pydantic found into sentences, ``<option> must <rule>, got <value>``: all problems of a config at once."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from core.config.checks import cross_problems
from core.config.fields import ROLLOUT_PREFIX, flat_name
from core.config.run import CROSS_OPTION_ERROR, RunConfig
from core.config.scheduled_sampling import REACH_ERROR
from core.config.spec import REQUIRED, OptionSpec, number_text, option_specs, range_text, show_value
from core.errors import Problem

REACH_OPTION = "scheduled_sampling_max_step_offset"


def problems_of(error: ValidationError, block: str | None = None) -> tuple[Problem, ...]:
    """Every problem of a configuration, each with the option's flat name.

    Args:
        error: What validating a ``RunConfig``, or one of its blocks, raised.
        block: The block's name when a block was validated by itself; None for a whole ``RunConfig``.
    """
    found: dict[tuple[str, str], Problem] = {}
    for details in error.errors(include_url=False):
        location = details["loc"] if block is None else (block, *details["loc"])
        for problem in _problems_at(tuple(location), details):
            found.setdefault((problem.option, problem.message), problem)
    return tuple(found.values())


def all_problems(error: ValidationError, values: Mapping[str, Any]) -> tuple[Problem, ...]:
    """The problems of single options, and what the sound ones among the options contradict each other in.

    Args:
        error: What validating a whole ``RunConfig`` raised.
        values: The flat values that were validated.
    """
    of_any_schedule = [
        details.get("ctx", {}).get("text") for details in error.errors() if details["type"] == REACH_ERROR
    ]
    found = problems_of(error)
    bad = {problem.option for problem in found if problem.message not in of_any_schedule}
    specs = option_specs()
    defaults = {name: spec.default for name, spec in specs.items() if spec.default is not REQUIRED}
    sound = {name: value for name, value in {**defaults, **values}.items() if name in specs and name not in bad}
    crossed = cross_problems(sound)
    if any(problem.option == REACH_OPTION for problem in crossed):
        found = tuple(problem for problem in found if problem.message not in of_any_schedule)
    merged = dict.fromkeys((*found, *crossed))
    order = {name: place for place, name in enumerate(specs)}
    return tuple(sorted(merged, key=lambda problem: order.get(problem.option, len(order))))


def unknown_option(name: str) -> Problem:
    """The problem of a name that is no option, with the nearest name that is one."""
    known = option_specs()
    prefixed = ROLLOUT_PREFIX + name
    near = f"; did you mean {prefixed}?" if prefixed in known else suggestion(name, known)
    return Problem(name, f"{name} is not an option{near}")


def suggestion(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """``; did you mean X?`` for the nearest known name, empty when none is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def rule(spec: OptionSpec, value: Any) -> str:
    """What a value has to be, without the word must; the type is named only if the value has another one."""
    words = _rule_of_kind(spec, value)
    if not spec.nullable:
        return words
    return "true, false or unset" if spec.kind == "bool" else f"{words}, or unset"


def _rule_of_kind(spec: OptionSpec, value: Any) -> str:
    limits = range_text(spec.bounds)
    match spec.kind:
        case "bool":
            return "true or false"
        case "choice":
            return f"one of {', '.join(spec.choices)}"
        case "text":
            return "a text that is not blank"
        case "texts":
            return "a list of texts that are not blank"
        case "int_or_choice":
            return f"{number_text('a whole number', spec.bounds)} or {' or '.join(spec.choices)}"
        case "int":
            return limits if type(value) is int else number_text("a whole number", spec.bounds)
        case "float":
            is_number = type(value) is int or (type(value) is float and math.isfinite(value))
            return limits if is_number else number_text("a number", spec.bounds)


def _problems_at(location: tuple[int | str, ...], details: Any) -> tuple[Problem, ...]:
    """The problems that one of pydantic's errors stands for."""
    if details["type"] == CROSS_OPTION_ERROR:
        return details["ctx"]["problems"]
    if details["type"] == REACH_ERROR:
        return (Problem(REACH_OPTION, details["ctx"]["text"]),)
    block = str(location[0])
    if len(location) == 1:
        return (_block_problem(block, details),)
    name = flat_name(block, str(location[1]))
    spec = option_specs().get(name)
    if spec is None or spec.block != block:
        return (unknown_option(name),)
    if details["type"] == "missing":
        return (Problem(name, f"{name} must be given"),)
    value = details["input"]
    return (Problem(name, f"{name} must be {rule(spec, value)}, got {show_value(value)}"),)


def _block_problem(block: str, details: Any) -> Problem:
    """The problem of a whole block: missing, not a table, or no block at all."""
    if block not in RunConfig.model_fields:
        return unknown_option(block)
    if details["type"] == "missing":
        return Problem(block, f"{block} must be given, got no such block of options")
    return Problem(block, f"{block} must be a table of options, got {show_value(details['input'])}")
