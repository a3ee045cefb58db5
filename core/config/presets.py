"""Presets, shipped and one's own, and the way from a preset or a file and some changes to one configuration."""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config.files import read_table, write_text
from core.config.flat import flatten, nest, parse_config, parse_text, split
from core.config.paths import EMBEDDED_BASES, PATH_OPTIONS, PRESETS_DIR, resolve_path
from core.config.problems import suggestion
from core.config.run import RunConfig
from core.config.spec import show_value
from core.config.toml import toml_document
from core.errors import ConfigError, Problem, RunError, printable
from core.models import FAMILIES

DEFAULT_PRESET = "demo"
ABOUT = ("title", "summary", "for_whom")
UNSET = "unset"
"""Top-level list of options that are unset: what TOML has in place of null."""
LONGEST_TITLE = 200
"""Characters."""
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))})
"""Names that no file can have on Windows."""


@dataclass(frozen=True)
class Preset:
    """A named configuration with words about it.

    Attributes:
        name: The file's name without its ending.
        title: A few words, for a card.
        summary: What it is and which compromises it makes.
        for_whom: Who takes it, on which GPU.
        path: The file.
        shipped: Whether it comes with the project; others lie in the workspace.
        values: What the file states, block by block.
        config: The whole configuration.
    """

    name: str
    title: str
    summary: str
    for_whom: str
    path: Path
    shipped: bool
    values: dict[str, dict[str, Any]]
    config: RunConfig


def list_presets(workspace: Path | None = None) -> dict[str, Preset]:
    """All presets that can be read: the demo, the other shipped ones from small base models to large, then one's own.

    Args:
        workspace: The workspace's folder, or None for the shipped ones only. What is wrong with the files left out is
            told by ``broken_presets``.
    """
    found = {}
    for name, path in _preset_files(workspace).items():
        try:
            found[name] = _read_preset(name, path)
        except ConfigError:
            continue
    return dict(sorted(found.items(), key=lambda item: _place(item[1])))


def _place(preset: Preset) -> tuple[bool, bool, int]:
    """Before those with larger tuples; presets of one place stay in the order of their names."""
    model = preset.config.model
    return (
        not preset.shipped,
        model.pretrained_model_name_or_path not in EMBEDDED_BASES,
        list(FAMILIES).index(model.family),
    )


def broken_presets(workspace: Path | None = None) -> dict[str, ConfigError]:
    """The presets that ``list_presets`` leaves out, with everything that is wrong with each."""
    broken = {}
    for name, path in _preset_files(workspace).items():
        try:
            _read_preset(name, path)
        except ConfigError as error:
            broken[printable(name)] = error
    return broken


def load_preset(name: str, workspace: Path | None = None) -> Preset:
    """One preset by its name.

    Raises:
        ConfigError: If there is none of that name (names the nearest one), or if its file is wrong.
    """
    files = _preset_files(workspace)
    if name not in files:
        hint = suggestion(name, list(files))
        raise ConfigError([Problem("preset", f"preset must be one of {', '.join(files)}, got {name!r}{hint}")])
    return _read_preset(name, files[name])


def save_preset(
    workspace: Path, name: str, title: str, config: RunConfig, *, summary: str = "", for_whom: str = ""
) -> Path:
    """Keeps a configuration in the workspace, where it is listed beside the shipped presets.

    Args:
        workspace: The workspace's folder.
        name: Made a slug. One's own preset of that very name, or of that title, is replaced; where another one has
            the slug, this one gets -2, -3 …, so that nothing is lost.
        title: Shown on its card; the name if empty.
        config: Stored whole.
        summary: What it is.
        for_whom: Who takes it.

    Returns:
        The file ``workspace/presets/NAME.toml``.

    Raises:
        ConfigError: If no letter or digit is left of the name, or a shipped preset has it.
        RunError: If the file cannot be written.
    """
    short = slug(name)
    if not short:
        raise ConfigError([Problem("name", f"name must hold a letter or a digit, got {name!r}")])
    if short in _files_in(PRESETS_DIR):
        raise ConfigError(
            [Problem("name", f"name must not be that of a shipped preset, got {short!r}; choose another name")]
        )
    flat = flatten(config)
    shown = printable(title.strip(), LONGEST_TITLE) or short
    head: dict[str, Any] = {"title": shown, "summary": summary, "for_whom": for_whom}
    head[UNSET] = [option for option, value in flat.items() if value is None]
    stated = {option: value for option, value in flat.items() if value is not None}
    path = _own_path(workspace, short, replaced=name == short, title=shown)
    write_text(path, toml_document(head, nest(stated)))
    return path


def _own_path(workspace: Path, short: str, *, replaced: bool, title: str) -> Path:
    """Where a preset goes: the file that was named, the one that has its title, or a free name."""
    folder = workspace / "presets"
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(workspace)):
        raise RunError(f"{folder} must lie in the workspace, got a link that leads out of it; remove the link")
    shipped, number = _files_in(PRESETS_DIR), 1
    while True:
        name = short if number == 1 else f"{short}-{number}"
        path = folder / f"{name}.toml"
        if name not in shipped and (replaced or not os.path.lexists(path) or _title_of(name, path) == title):
            return path
        number += 1


def _title_of(name: str, path: Path) -> str | None:
    """The title of a preset that can be read; a file that cannot is nobody's to replace."""
    try:
        return _read_preset(name, path).title
    except ConfigError:
        return None


def resolve_config(
    source: str | Path,
    *,
    base: str = DEFAULT_PRESET,
    overrides: Mapping[str, Any] | None = None,
    workspace: Path | None = None,
) -> RunConfig:
    """The one configuration that a preset or a file, completed and changed, stands for.

    Args:
        source: A preset's name, or a ``.toml`` or ``.json`` file with nested blocks or flat names.
        base: The preset that completes a file; a preset is complete by itself.
        overrides: Changes by flat name; strings are read by the option's type.
        workspace: Where one's own presets lie.

    Raises:
        ConfigError: With every problem of the file and the changes.
    """
    if _is_shipped(Path(source)):
        source = Path(source).stem
    if isinstance(source, Path) or Path(source).suffix.lower() in (".toml", ".json") or "/" in source:
        _, own, problems = _parts_of(Path(source))
        values = {**flatten(load_preset(base, workspace).config), **from_here(own)}
    else:
        values, problems = flatten(load_preset(source, workspace).config), ()
    changes = {} if overrides is None else overrides
    flat, name_problems = split(
        {name: parse_text(name, value) if isinstance(value, str) else value for name, value in changes.items()}
    )
    return parse_config({**values, **from_here(flat)}, (*problems, *name_problems))


def slug(name: str, longest: int = 64) -> str:
    """A name that is safe in a path and easy to type: lower case letters, digits and single dashes.

    Args:
        name: What a person typed; nothing of it may be usable.
        longest: Characters that are kept.

    Returns:
        Empty if there is no letter a-z and no digit; never a name that Windows keeps for its devices.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    short = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:longest].strip("-")
    return f"{short}-1" if short in DEVICES else short


def _files_in(folder: Path) -> dict[str, Path]:
    if not os.path.isdir(folder):
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.toml")) if not path.name.startswith(".")}


def _is_shipped(path: Path) -> bool:
    return os.path.isfile(path) and Path(os.path.realpath(path)) in _files_in(PRESETS_DIR).values()


def _preset_files(workspace: Path | None) -> dict[str, Path]:
    """Preset files by name: the demo first; a file of the workspace never hides a shipped preset."""
    shipped = _files_in(PRESETS_DIR)
    names = sorted(shipped, key=lambda name: (name != DEFAULT_PRESET, name))
    own = {} if workspace is None else _files_in(workspace / "presets")
    return {name: shipped[name] for name in names} | {name: path for name, path in own.items() if name not in shipped}


def _parts_of(path: Path) -> tuple[dict[str, Any], dict[str, Any], tuple[Problem, ...]]:
    """A file's words about itself, its flat values (unset ones as None), and what is wrong with its names."""
    table = read_table(path)
    about = {key: table.pop(key, "") for key in ABOUT}
    unset = table.pop(UNSET, [])
    flat, problems = split(table)
    no_texts = [(key, value) for key, value in about.items() if not isinstance(value, str)]
    problems += tuple(Problem(key, f"{key} must be a text, got {show_value(value)}") for key, value in no_texts)
    if not isinstance(unset, list) or not all(isinstance(name, str) for name in unset):
        return about, flat, (*problems, Problem(UNSET, f"{UNSET} must be a list of options, got {show_value(unset)}"))
    nothing, more = split(dict.fromkeys(unset))
    both = [Problem(name, f"{name} must have a value or be {UNSET}, got both") for name in nothing if name in flat]
    return about, {**flat, **nothing}, (*problems, *more, *both)


def _read_preset(name: str, path: Path) -> Preset:
    """Reads and checks one preset; the options' defaults complete a shipped one, the demo one of the workspace."""
    shipped = path.parent == PRESETS_DIR
    if not shipped:
        _check_place(name, path)
    base = {} if shipped else flatten(load_preset(DEFAULT_PRESET).config)
    about, flat, problems = _parts_of(path)
    try:
        config = parse_config({**base, **flat}, problems)
    except ConfigError as error:
        raise ConfigError(
            [Problem(problem.option, f"{path}: {problem.message}") for problem in error.problems]
        ) from None
    title, summary, for_whom = (printable(about[key].strip(), LONGEST_TITLE * 5) for key in ABOUT)
    return Preset(name, title or name, summary, for_whom, path, shipped, nest(flat), config)


def _check_place(name: str, path: Path) -> None:
    """Refuses a file of the workspace that cannot be named on a command line, or that does not really lie there."""
    if name != printable(name).strip() or name.startswith("-"):
        rule = "must have a name that can be typed and that does not begin with a dash; rename it"
        raise ConfigError([Problem(path.name, f"{path} {rule}")])
    if not os.path.realpath(path).startswith(os.path.realpath(path.parent.parent) + os.sep):
        rule = "must lie in the workspace, got a link that leads out of it; put the file itself there"
        raise ConfigError([Problem(path.name, f"{path} {rule}")])


def from_here(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Makes relative paths that exist in the working directory absolute; all others stay relative to the project."""
    return {name: _path_from_here(value) if name in PATH_OPTIONS else value for name, value in flat.items()}


def _path_from_here(value: Any) -> Any:
    if not isinstance(value, str) or value in EMBEDDED_BASES:
        return value
    try:
        here = os.path.realpath(os.path.expanduser(value))
        return here if os.path.exists(here) and here != os.path.realpath(resolve_path(value)) else value
    except ValueError:  # a null byte or half a character: no path, and validation says so
        return value
