"""A command line as text: its words and flags. It is taken apart, never run."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError, Problem

SEPARATORS = ";&|<>\n"
_CONTINUED = re.compile(r"[\\^`][ \t]*\r?\n")
_WINDOWS_PATH = re.compile(r"(?<!\w)[A-Za-z]:\\[^\s\"']*")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\\(\$)|\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_NUMBER = re.compile(r"-(?:\d|\.\d|inf|nan)", re.IGNORECASE)
_DOLLAR = "\ue000"
"""Stands for a dollar sign that is meant as one."""
LONGEST_WORD = 10_000
"""Characters of a word after its variables are put in."""
LAUNCH = "launch:"
"""Before the names of flags that ``accelerate launch`` itself takes."""


@dataclass(frozen=True)
class Command:
    """A training script with its flags.

    Attributes:
        script: The script's file name.
        flags: Value by flag, without dashes: a text, True where it stands alone, a list where several words follow.
    """

    script: str
    flags: dict[str, Any]


def parse_command(text: str, name: str) -> Command:
    """The first command of a text that runs a Python script.

    Args:
        text: One command or a whole shell script; variables that it sets itself are put in.
        name: What to call it.

    Raises:
        ConfigError: It has no such command, quotes that do not close, or words that only a shell could work out.
    """
    commands = _commands(_words(text, name))
    known: dict[str, str] = {}
    for words in commands:
        command = _without_assignments(words, known)
        place = next((at for at, word in enumerate(command) if _is_script(word)), None)
        if place is not None:
            return _taken_apart(command, place, known, name)
    raise ConfigError([Problem(name, f"{name} must hold a command that runs a .py script, got none")])


def looks_like_command(text: str) -> bool:
    """Whether a text is a command line rather than a table."""
    return re.search(r"(?:^|[\s/\\\"'=])\w[\w.-]*\.py(?:\s|\"|'|$)", text) is not None and "--" in text


def _words(text: str, name: str) -> list[str]:
    joined = _CONTINUED.sub(" ", text.replace("\r\n", "\n"))
    joined = _WINDOWS_PATH.sub(lambda match: match[0].replace("\\", "/"), joined)
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        return list(lexer)
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise ConfigError([Problem(name, f"{name} must be a command line, got an error: {reason}")]) from None


def _commands(words: Sequence[str]) -> list[list[str]]:
    """The words of each command, comments left out."""
    commands: list[list[str]] = [[]]
    comment = False
    for word in words:
        if word and set(word) <= set(SEPARATORS):
            comment = comment and "\n" not in word
            commands.append([])
        elif not comment:
            flagged = bool(commands[-1]) and commands[-1][-1].startswith("--")
            comment = word.startswith("#") and not flagged
            if not comment:
                commands[-1].append(word)
    return [command for command in commands if command]


def _without_assignments(words: list[str], known: dict[str, str]) -> list[str]:
    """The words behind ``NAME=value``, whose values are remembered."""
    start = 1 if words[0] in {"export", "set", "env"} else 0
    for place in range(start, len(words)):
        match = _ASSIGNED.fullmatch(words[place])
        if match is None or words[place].startswith("-"):
            return words[place:]
        known[match[1]] = _filled(match[2], known)
    return []


def _filled(word: str, known: dict[str, str]) -> str:
    """A word with the variables put in that are known; the others stay, and are refused where they matter."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return _DOLLAR
        return known.get(match[2] or match[3], match[0])

    return _VARIABLE.sub(value, word)[:LONGEST_WORD]


def _is_script(word: str) -> bool:
    return word.endswith(".py") and not word.startswith("-")


def _taken_apart(words: list[str], place: int, known: dict[str, str], name: str) -> Command:
    filled = [_filled(word, known) for word in words]
    unknown = [word for word in filled if "$(" in word or "`" in word or _VARIABLE.search(word)]
    if unknown:
        rule = f"{name} must have every value written out, since it is not run, got"
        raise ConfigError([Problem(name, f"{rule} {word!r}; put in what it stands for") for word in unknown])
    filled = [word.replace(_DOLLAR, "$") for word in filled]
    launch = filled[filled.index("launch") + 1 : place] if "launch" in filled[:place] else []
    flags = {LAUNCH + flag: value for flag, value in _flags(launch).items()}
    script = re.split(r"[/\\]", filled[place])[-1]
    return Command(script, flags | _flags(filled[place + 1 :]))


def _flags(words: Sequence[str]) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    values: list[str] = []
    last = ""
    for word in words:
        if word.startswith("-") and not _NUMBER.match(word) and len(word) > 1:
            flag, equals, value = word.lstrip("-").partition("=")
            values = [value] if equals else []
            flags[flag] = _joined(values)
            last = flag
        elif flags:
            values.append(word)
            flags[last] = _joined(values)
        else:
            flags.setdefault("(words before the first flag)", word)
    return flags


def _joined(values: list[str]) -> Any:
    if not values:
        return True
    return values[0] if len(values) == 1 else list(values)
