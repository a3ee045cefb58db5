"""Every error that the workbench raises on purpose. Their text is fit for people; anything else that escapes is a bug.

    WorkbenchError
    ├── ConfigError   options that cannot be honoured: all problems of a config at once
    ├── DataError     pictures, captions, base models: all problems of a folder at once
    └── RunError      a run or its folder

A problem reads ``<option> must <rule>, got <value>[; what to do]``.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LONGEST_SENTENCE = 1000
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, invisible marks, halves of characters, and ends of lines."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, told in one sentence.

    Attributes:
        option: The flat name of the option, or the name of the file, that the problem is about.
        message: One whole sentence that names the option and says what to do where that is not obvious. What it quotes
            comes from files and forms: it is made ``printable``, one line, and cut.
    """

    option: str
    message: str

    def __post_init__(self) -> None:
        """Whatever a file is called or holds, the sentence is a line that can be shown and written anywhere."""
        object.__setattr__(self, "option", printable(self.option))
        object.__setattr__(self, "message", printable(self.message))

    def __str__(self) -> str:
        """The sentence."""
        return self.message


class WorkbenchError(Exception):
    """Base of everything that is raised on purpose; ``str()`` of it can be shown to people as it is."""


class _ProblemsError(WorkbenchError):
    """An error that carries every problem that was found, not only the first."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keeps the problems in their order, without repetitions.

        Args:
            problems: At least one problem.

        Raises:
            ValueError: If there is no problem to report.
        """
        self.problems = tuple(dict.fromkeys(problems))
        if not self.problems:
            raise ValueError(f"{type(self).__name__} needs at least one problem")
        super().__init__("\n".join(problem.message for problem in self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:
        """Pickles by the problems, so that the error survives a process boundary."""
        return type(self), (self.problems,)


class ConfigError(_ProblemsError):
    """Options that cannot be honoured; ``problems`` lists them all, ``str()`` has a line for each."""


class DataError(_ProblemsError):
    """Pictures, captions or models that cannot be used; ``problems`` lists them all, ``str()`` has a line for each."""


class RunError(WorkbenchError):
    """A run, an experiment or their folder cannot be made, read, started or stopped."""

    def __init__(self, message: str) -> None:
        """Keeps one or more sentences, a line each, that can be shown and written anywhere.

        Args:
            message: The sentences.
        """
        super().__init__("\n".join(map(printable, message.split("\n"))))


def printable(text: str, longest: int = LONGEST_SENTENCE) -> str:
    """A text as one line that can be shown, logged and written as UTF-8.

    Args:
        text: Any text, that of file names included, which need not be valid Unicode.
        longest: Characters that are kept.

    Returns:
        The text with every character that is not seen as its escape, such as ``\\n``; where too long, without its
        middle, so that the end of a sentence, which says what to do, is still there.
    """
    cut = text if len(text) <= longest else f"{text[: longest * 2 // 3]} … {text[-longest // 3 :]}"
    return "".join(map(_seen, cut))


def _seen(character: str) -> str:
    unseen = unicodedata.category(character) in _UNSEEN
    return character.encode("unicode_escape").decode("ascii") if unseen else character


def first_line(error: BaseException) -> str:
    """What a library's error says first, or what it is where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def reason_of(error: OSError) -> str:
    """Why the operating system refused, in its own words and in the middle of a sentence.

    Args:
        error: What the file operation raised.

    Returns:
        For example ``permission denied``; never empty, never with a path.
    """
    text = error.strerror if error.strerror is not None else type(error).__name__
    return text[:1].lower() + text[1:]


def unreadable(option: str, path: Path, error: OSError) -> Problem:
    """The problem that a file cannot be read.

    Args:
        option: What to file the problem under.
        path: The file as the user named it.
        error: What reading it raised.
    """
    return Problem(option, f"{path} must be a readable file, got an error: {reason_of(error)}")
