"""Options model <-> inputs: one input per option, made from what its field declares; values back to a config."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from app.paths import AllowedPaths
from core.config.flat import flatten, parse_text
from core.config.run import RunConfig
from core.config.spec import REQUIRED, OptionSpec, option_specs
from core.config.supported import supported_text
from core.errors import ConfigError, Problem

UNSET = "unset"


def heading(spec: OptionSpec) -> str:
    """Label of an input, with its unit."""
    return f"{spec.label} ({spec.unit})" if spec.unit else spec.label


def explanation(spec: OptionSpec) -> str:
    """Help under an input, with what this version supports where that is less than the option allows."""
    supported = supported_text(spec.name)
    return f"{spec.help} In this version: {supported}." if supported else spec.help


def make_input(spec: OptionSpec, **more: Any) -> Component:
    """The input of one option.

    Numbers carry no bounds here: the browser would clamp them, or the server refuse them, before our own error, which
    names the option and stands at its field, could be shown.
    """
    shared: dict[str, Any] = {
        "label": heading(spec),
        "info": explanation(spec),
        "interactive": True,
        "elem_id": f"opt-{spec.name}",
        "elem_classes": ["rw-option"],
        "value": None if spec.default is REQUIRED else to_input(spec, spec.default),
    } | more
    match spec.kind:
        case "bool" if not spec.nullable:
            return gr.Checkbox(**shared)
        case "bool":
            return gr.Dropdown([UNSET, "on", "off"], filterable=False, **shared)
        case "choice":
            return gr.Dropdown([*([UNSET] if spec.nullable else []), *spec.choices], filterable=False, **shared)
        case "int" | "float":
            return gr.Number(step=number_step(spec), **shared)
        case "texts":
            return gr.Textbox(lines=4, max_lines=12, placeholder="one a line", **shared)
        case _:
            return gr.Textbox(lines=1, max_lines=1, **shared)


def number_step(spec: OptionSpec) -> float:
    """What one press of an arrow key changes."""
    if spec.kind == "int":
        return spec.bounds.multiple_of or 1
    return 0.05 if spec.bounds.maximum == 1 and not spec.bounds.above else 0.5


def to_input(spec: OptionSpec, value: Any) -> Any:
    """An option's value as its input shows it."""
    if spec.kind == "bool" and spec.nullable:
        return UNSET if value is None else ("on" if value else "off")
    if spec.kind == "choice" and value is None:
        return UNSET
    if spec.kind == "texts":
        return "\n".join(value)
    if spec.kind in {"text", "int_or_choice"}:
        return "" if value is None else str(value)
    return value


def from_input(spec: OptionSpec, raw: Any) -> Any:
    """What an input holds as the option's value; nonsense passes through, for validation to name it."""
    if spec.kind == "texts":
        return [line.strip() for line in str(raw if raw is not None else "").splitlines() if line.strip()]
    if spec.kind in {"int", "float"}:
        if isinstance(raw, float) and raw.is_integer() and spec.kind == "int":
            return int(raw)
        return raw
    if isinstance(raw, str) and spec.kind != "bool":
        text = raw.strip()
        if spec.nullable and text in {"", UNSET}:
            return None
        return parse_text(spec.name, text)
    if isinstance(raw, str):
        return {"on": True, "off": False, UNSET: None}.get(raw, raw)
    return raw


def values_of(config: RunConfig) -> list[Any]:
    """What all inputs show for a config, in the order of the options."""
    flat = flatten(config)
    return [to_input(spec, flat[name]) for name, spec in option_specs().items()]


def read_form(raw: Sequence[Any]) -> dict[str, Any]:
    """The inputs' contents, in the order of the options, as flat values."""
    return {name: from_input(spec, value) for (name, spec), value in zip(option_specs().items(), raw, strict=True)}


def config_of(raw: Sequence[Any], paths: AllowedPaths) -> RunConfig:
    """The config that the inputs hold.

    Args:
        raw: The inputs' contents, in the order of the options.
        paths: What the page may use.

    Raises:
        ConfigError: With every problem.
    """
    return paths.parse(read_form(raw))


def try_config(raw: Sequence[Any], paths: AllowedPaths) -> tuple[RunConfig | None, tuple[Problem, ...]]:
    """The config, or None and everything that is wrong with it."""
    try:
        return config_of(raw, paths), ()
    except ConfigError as error:
        return None, error.problems


def marks(problems: Iterable[Problem]) -> str:
    """Problems at their fields, all at once, and a summary in words.

    The marks are style rules, so that they also reach inputs in a closed accordion or on another tab, and vanish with
    the problem; the summary is what screen readers announce, and each of its lines describes its input (``access.js``).
    """
    listed = list(problems)
    if not listed:
        return ""
    by_option: dict[str, list[str]] = {}
    for problem in listed:
        by_option.setdefault(problem.option, []).append(problem.message)
    rules = "".join(
        f"#opt-{name}::after{{content:{css_text(' '.join(texts))};display:block}}"
        f"#opt-{name} :is(input,textarea){{border-color:var(--rw-fail)!important}}"
        for name, texts in by_option.items()
        if re.fullmatch(r"\w+", name)
    )
    count = "1 setting needs" if len(by_option) == 1 else f"{len(by_option)} settings need"
    items = "".join(
        f'<li id="problem-{html.escape(name)}">{html.escape(" ".join(texts))}</li>' for name, texts in by_option.items()
    )
    summary = f'<div class="rw-problems" role="alert"><strong>{count} a change</strong><ul>{items}</ul></div>'
    return f"<style>{rules}</style>{summary}"


def css_text(text: str) -> str:
    """A CSS string literal that holds any text: all but letters, digits and blanks is escaped, up to a blank."""
    letters = (letter if letter.isalnum() or letter == " " else f"\\{ord(letter):06x} " for letter in text)
    return f'"{"".join(letters)}"'
