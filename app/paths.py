"""Which folders and files the page may be told to use. The command line may use any."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.config.flat import parse_config
from core.config.paths import ASSETS_DIR, EMBEDDED_BASES, PATH_OPTIONS, PROJECT_ROOT, is_single_file, resolve_path
from core.config.run import RunConfig
from core.errors import Problem

SHIPPED = (ASSETS_DIR / "subjects", *EMBEDDED_BASES.values(), PROJECT_ROOT / "my-pictures")
"""What the shipped presets name."""
BASE = "pretrained_model_name_or_path"
LENT = "single_file_config"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
ADVICE = {
    BASE: "give a hub name or an embedded base, or start the page with --allowed-path FOLDER",
    LENT: "start the page with --allowed-path FOLDER",
    "file": "upload it, or start the page with --allowed-path FOLDER",
}
PICTURES = "upload the pictures on the Data tab, or start the page with --allowed-path FOLDER"


class AllowedPaths:
    """The workspace, what ships with the project, and what the page was started with.

    Args:
        workspace: The workspace's root.
        more: Further folders.
    """

    def __init__(self, workspace: Path, more: Sequence[Path] = ()) -> None:
        self.roots = tuple(os.path.realpath(folder) for folder in (workspace, *SHIPPED, *more))

    def holds(self, path: str | Path) -> bool:
        """Whether a path leads into one of the folders, its links resolved. It need not exist.

        Args:
            path: As somebody typed it.
        """
        typed = str(path)
        try:
            real = {os.path.realpath(resolve_path(text)) for text in (typed, typed.strip())}
        except ValueError:  # no path has NUL or half a surrogate pair in it
            return False
        return all(any(_within(path, root) for root in self.roots) for path in real)

    def problem(self, option: str, value: object) -> Problem | None:
        """What is wrong with a path that came from the page; None for one that may be used.

        The sentence is the same whether or not there is something at the path.

        Args:
            option: Name of the option, or ``file``.
            value: Its value; what is no text is left to validation.
        """
        if not isinstance(value, str) or not value.strip() or self.holds(value):
            return None
        if option == BASE and (value in EMBEDDED_BASES or _is_hub_name(value)):
            return None
        rule = "must lie in the workspace or in a folder that the page was started for"
        return Problem(option, f"{option} {rule}, got {value}; {ADVICE.get(option, PICTURES)}")

    def problems_of(self, flat: Mapping[str, object]) -> tuple[Problem, ...]:
        """Every option that names a file or a folder which may not be used; nothing is read there.

        Args:
            flat: Values by flat name.
        """
        found = [self.problem(name, flat[name]) for name in sorted(PATH_OPTIONS & flat.keys())]
        return tuple(problem for problem in found if problem is not None)

    def parse(self, flat: Mapping[str, object]) -> RunConfig:
        """The config that flat values make. A path that may not be used is not even looked at.

        Args:
            flat: Values by flat name.

        Raises:
            ConfigError: With every problem, those of the paths first.
        """
        problems = self.problems_of(flat)
        embedded = next(iter(EMBEDDED_BASES))
        harmless: dict[str, object] = dict.fromkeys((problem.option for problem in problems), embedded)
        if {BASE, LENT} & harmless.keys():  # they are judged together: neither may seem to lack the other
            single = is_single_file(str(flat.get(BASE)))
            harmless.update({LENT: None, **({BASE: embedded} if single else {})})
        return parse_config({**flat, **harmless}, problems)


def _within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _is_hub_name(value: str) -> bool:
    """Whether it is a name on the hub; a file or a folder of that name here would be taken in its stead."""
    return HUB_NAME.fullmatch(value) is not None and not os.path.lexists(resolve_path(value))
