"""A foreign file as it was read, and what a reader of a tool makes of it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config.files import read_table
from core.config.flat import parse_config
from core.config.foreign.mapping import Key, blame
from core.config.foreign.ramps import RampThere, ramp_rows
from core.config.foreign.report import Finding, RampRow
from core.config.foreign.values import plain
from core.config.run import RunConfig
from core.config.spec import REQUIRED, option_specs
from core.errors import ConfigError, Problem


@dataclass(frozen=True)
class Source:
    """A file's content.

    Attributes:
        name: What to call it.
        table: Its keys.
        folder: Where it lies, so that files it names are looked for there; None where nothing else may be read.
        script: The script that a command line runs, empty for other files.
    """

    name: str
    table: Mapping[str, Any]
    folder: Path | None = None
    script: str = ""

    def find(self, named: object) -> Path | None:
        """A file or folder that it names: relative to its own folder or to one above, as tools run in their own.

        Args:
            named: The value of a key.
        """
        if self.folder is None or not isinstance(named, str) or not named.strip():
            return None
        tried = [Path(os.path.expanduser(named))] if os.path.isabs(os.path.expanduser(named)) else []
        if not tried:
            above = [self.folder, *self.folder.parents][:3]
            tried = [folder / named for folder in above] + [self.folder / os.path.basename(named)]
        try:
            return next((path for path in tried if os.path.exists(path)), None)
        except ValueError:  # a null byte
            return None

    def read(self, named: object) -> Mapping[str, Any] | None:
        """The table in a file that it names; None where there is none to read.

        Raises:
            ConfigError: The file is there and cannot be read.
        """
        path = self.find(named)
        return None if path is None else plain(read_table(path), path.name)


@dataclass(frozen=True)
class Imported:
    """What a tool's file comes to.

    Attributes:
        tool: The tool's name in ``READERS``.
        findings: What became of each key.
        options: Flat names and values; what is left out has its default here.
        kept: The file as it was, without what looks secret; goes back out with an export for the same tool.
        problems: What is wrong with the keys themselves.
        ramp: The ramp as the tool behaves; None for tools without scheduled sampling.
        files: Further files of the tool that were read, as they were, by what they are.
    """

    tool: str
    findings: tuple[Finding, ...]
    options: Mapping[str, Any]
    kept: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    ramp: RampThere | None = None
    files: Mapping[str, Any] = field(default_factory=dict)

    def completed(self, base: RunConfig | None, changes: Mapping[str, Any]) -> "Imported":
        """The same with what has to be given and is missing taken from a config, each with a finding.

        Args:
            base: A config whose values fill gaps; None leaves them.
            changes: Options that are set over all of it.
        """
        options = {**self.options, **changes}
        if base is None:
            return self._with(options, ())
        missing = [
            spec
            for spec in option_specs().values()
            if spec.default is REQUIRED and options.get(spec.name) in (None, "")
        ]
        fill = {spec.name: getattr(getattr(base, spec.block), spec.field) for spec in missing}
        rows = [
            Finding(name, value, "differs", {name: value}, "missing in the file: taken from the preset", given=False)
            for name, value in fill.items()
        ]
        return self._with({**options, **fill}, tuple(rows))

    def _with(self, options: Mapping[str, Any], rows: tuple[Finding, ...]) -> "Imported":
        return Imported(self.tool, self.findings + rows, options, self.kept, self.problems, self.ramp, self.files)

    def config(self) -> RunConfig:
        """The configuration.

        Raises:
            ConfigError: With every problem, each with the key that it comes from.
        """
        try:
            return parse_config(self.options, self.problems)
        except ConfigError as error:
            raise ConfigError(blame(error.problems, self.findings)) from None

    def ramps(self, config: RunConfig) -> tuple[RampRow, ...]:
        """Both ramps as numbers; empty where there is nothing to compare."""
        if self.ramp is None:
            return ()
        return ramp_rows(self.ramp, config.scheduled_sampling, config.training.max_train_steps)


@dataclass(frozen=True)
class Reader:
    """One tool whose files are read.

    Attributes:
        name: What it is called on the command line.
        title: What people call it.
        keys: Its keys by name.
        marks: Keys that give its files away.
        read: Makes something of a file.
    """

    name: str
    title: str
    keys: Mapping[str, Key]
    marks: frozenset[str]
    read: Callable[[Source], Imported]
