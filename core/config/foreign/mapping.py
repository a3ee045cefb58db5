"""How one key of another tool is taken over. Each tool has a table of ``Key``; the documentation is made from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.config.foreign.report import Finding, Standing
from core.config.foreign.values import for_option, is_secret, number_of, switch_of, without_secrets
from core.config.spec import option_specs, show_value
from core.errors import Problem, printable

Values = Mapping[str, Any]
ABSENT = object()
"""Stands for the value of a key that the file leaves out, and for a default that a tool does not have."""
LARGEST_NUMBER = 1e12
"""No option goes so far; products of such numbers are still finite."""
SECRET = "it looks like a token or a password: these come from the environment only and are not kept"


@dataclass(frozen=True)
class Took:
    """What is made of a key's value.

    Attributes:
        standing: What kind of thing became of it.
        options: What it sets here, by flat name; values in any spelling, validated later.
        words: Why, and what differs.
    """

    standing: Standing
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


Take = Callable[[Any, Values], Took]


@dataclass(frozen=True)
class Key:
    """A key of another tool.

    Attributes:
        name: Its name there, without dashes.
        standing: What usually becomes of it; some values may make it another one.
        words: What it means here, for the documentation.
        take: What is made of a value, given all values of the file by name.
        option: The option that it sets, empty for none.
        aliases: Older names for it.
        default: What the tool takes where the file leaves it out; ``ABSENT`` for nothing worth telling.
    """

    name: str
    standing: Standing
    words: str
    take: Take
    option: str = ""
    aliases: tuple[str, ...] = ()
    default: Any = ABSENT


def mapped(name: str, option: str, *aliases: str, default: Any = ABSENT, words: str = "") -> Key:
    """A key that means the same as an option."""

    def take(value: Any, values: Values) -> Took:
        return Took("mapped", {option: value})

    return Key(name, "mapped", words, take, option, aliases, default)


def ignored(name: str, why: str, *aliases: str) -> Key:
    """A key that changes nothing of what is learnt here, or that this workbench does in its own way."""
    return Key(name, "ignored", why, lambda value, values: Took("ignored", words=why), aliases=aliases)


def differs(name: str, words: str, *aliases: str, harmless: tuple[Any, ...] = (), default: Any = ABSENT) -> Key:
    """A key that asks for something which is not done here.

    Args:
        name: The key.
        words: What is done instead.
        aliases: Older names for it.
        harmless: Values that ask for nothing, as text in lower case; switches that are off and unset values always do.
        default: What its tool takes where the file leaves it out.
    """

    def take(value: Any, values: Values) -> Took:
        if switch_of(value) is False:
            return Took("ignored", words="off there, and not done here")
        same = str(value).strip().lower() in harmless
        return Took("ignored", words="as here") if same else Took("differs", words=words)

    return Key(name, "differs", words, take, aliases=aliases, default=default)


def choice(
    name: str,
    option: str,
    same: Mapping[str, Any],
    *aliases: str,
    near: Mapping[str, tuple[Any, str]] | None = None,
    default: Any = ABSENT,
    words: str = "",
) -> Key:
    """A key whose words are some of an option's.

    Args:
        name: The key.
        option: The option.
        same: The key's words and what the option calls them.
        aliases: Older names.
        near: Words with no equal here: what is taken instead, and what differs.
        default: What its tool takes where the file leaves it out.
        words: For the documentation.
    """
    nearest = {} if near is None else near

    def take(value: Any, values: Values) -> Took:
        word = str(value).strip().lower()
        if word in nearest:
            taken, told = nearest[word]
            return Took("differs", {option: taken}, told)
        return Took("mapped", {option: same.get(word, value)})

    return Key(name, "mapped", words, take, option, aliases, default)


OPTIMIZERS = {
    "adamw": "adamw",
    "prodigy": "prodigy",
    "adamw8bit": "adamw_8bit",
    "bnb-adamw8bit": "adamw_8bit",
    "ao-adamw8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
}
"""What other tools call the optimizers that there are here."""


def optimizer(name: str, *aliases: str, near: Mapping[str, str] | None = None, default: Any = ABSENT) -> Key:
    """A key that names an optimizer; one that there is not here becomes AdamW.

    Args:
        name: The key.
        aliases: Older names.
        near: Optimizers that are nearly AdamW, and what differs.
        default: What its tool takes where the file leaves it out.
    """
    nearly = {} if near is None else near

    def take(value: Any, values: Values) -> Took:
        word = str(value).strip().lower()
        if word in OPTIMIZERS:
            return Took("mapped", {"optimizer": OPTIMIZERS[word]})
        return Took("differs", {"optimizer": "adamw"}, nearly.get(word, "not offered here: AdamW is taken"))

    return Key(name, "mapped", "AdamW, AdamW in 8 bits and Prodigy; others become AdamW", take, "optimizer", aliases,
               default)  # fmt: skip


def own(
    name: str, option: str, take: Take, words: str, *aliases: str, standing: Standing = "mapped", default: Any = ABSENT
) -> Key:
    """A key with a rule of its own."""
    return Key(name, standing, words, take, option, aliases, default)


@dataclass(frozen=True)
class Mapped:
    """What was made of a whole file.

    Attributes:
        findings: One for each key, and one for each default of the tool that counts.
        options: Flat names and values, in the options' types where they fit.
        kept: The file as it was, without what looks secret; goes back out with an export.
        problems: What is wrong with the keys themselves.
    """

    findings: tuple[Finding, ...]
    options: dict[str, Any]
    kept: dict[str, Any]
    problems: tuple[Problem, ...]


def is_unset(value: Any) -> bool:
    """Whether a key says nothing: null, or an empty text."""
    return value is None or (isinstance(value, str) and not value.strip())


def bare(spelt: str) -> str:
    """A key without the dashes and blanks that some files put around it."""
    return spelt.strip().lstrip("-")


def by_name(table: Values, keys: Mapping[str, Key]) -> tuple[dict[str, tuple[str, Any]], tuple[Problem, ...]]:
    """The file's keys by their current names, each with its spelling and value.

    Args:
        table: The file.
        keys: The tool's keys.

    Returns:
        Dashes in front are left out and older names replaced; a problem for each key that is given twice.
    """
    names = {alias: key.name for key in keys.values() for alias in key.aliases}
    found: dict[str, tuple[str, Any]] = {}
    problems = []
    for spelt, value in table.items():
        name = names.get(bare(spelt), bare(spelt))
        if name in found and found[name][1] != value:
            first = found[name][0]
            problems.append(Problem(name, f"{name} must be given once, got {first!r} and {spelt!r}; leave one out"))
        found.setdefault(name, (spelt, value))
    return found, tuple(problems)


def apply(table: Values, keys: Mapping[str, Key]) -> Mapped:
    """Takes over every key of a file.

    Args:
        table: The file's keys and values.
        keys: The tool's keys by name.
    """
    found, problems = by_name(table, keys)
    given = {name: value for name, (_, value) in found.items() if not is_unset(value)}
    values = given | {
        name: key.default for name, key in keys.items() if name not in given and key.default is not ABSENT
    }
    rows: list[Finding] = []
    options: dict[str, Any] = {}
    for name, (spelt, value) in found.items():
        row = _finding(spelt, value, keys.get(name), values)
        rows.append(row)
        options |= row.options
    for name, key in keys.items():
        if name not in given and key.default is not ABSENT:
            took = key.take(key.default, values)
            new = {option: value for option, value in _typed(took.options).items() if option not in options}
            if new or (took.standing == "differs" and took.words):
                rows.append(Finding(name, key.default, took.standing, new, took.words, given=False))
                options |= new
    return Mapped(tuple(rows), options, without_secrets(dict(table)), problems)


def _finding(spelt: str, value: Any, key: Key | None, values: Values) -> Finding:
    if is_secret(spelt, value):
        return Finding(spelt, value, "ignored", words=SECRET)
    if key is None:
        return Finding(spelt, value, "unknown", words="kept as it is")
    if is_unset(value):
        return Finding(spelt, value, "ignored", words="unset there")
    took = key.take(value, values)
    return Finding(spelt, value, took.standing, _typed(took.options), took.words)


def _typed(options: Mapping[str, Any]) -> dict[str, Any]:
    specs = option_specs()
    return {name: for_option(specs[name], value) for name, value in options.items()}


def settled(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings without the defaults that something in the files replaces."""
    rows = list(findings)
    said = {option for row in rows if row.given for option in row.options}
    return tuple(row for row in rows if row.given or not row.options or not said.issuperset(row.options))


def blame(problems: Iterable[Problem], findings: Iterable[Finding]) -> tuple[Problem, ...]:
    """The problems of a config, each with the foreign key whose value it is about."""
    origin = {option: row for row in findings for option in row.options}
    told = []
    for problem in problems:
        row = origin.get(problem.option)
        named = row is not None and bare(row.key) != problem.option
        told.append(
            Problem(problem.option, f"{problem.message} (from the key {row.shown_key})")  # type: ignore[union-attr]
            if named
            else problem
        )
    return tuple(told)


def as_number(values: Values, name: str, default: float = 0.0) -> float:
    """A number of the file, cut to ±``LARGEST_NUMBER``, or the default where it has none that can be read."""
    number = number_of(values.get(name))
    return default if number is None else min(max(number, -LARGEST_NUMBER), LARGEST_NUMBER)


def quoted(value: Any) -> str:
    """A foreign value within a sentence."""
    return printable(show_value(value), 120)
