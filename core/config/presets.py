"""Presets, shipped and one's own, and the way from a preset or a file and some changes to one configuration."""

import json
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
from core.config.toml import toml_document
from core.errors import ConfigError, Problem

DEFAULT_PRESET = "demo"
ABOUT = ("title", "summary", "for_whom")
UNSET = "unset"
"""Top-level list of options that are unset: what TOML has in place of null."""


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
    """All presets that can be read: the demo, the other shipped ones, then those of the workspace, by name.

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
    return found


def broken_presets(workspace: Path | None = None) -> dict[str, ConfigError]:
    """The presets that ``list_presets`` leaves out, with everything that is wrong with each."""
    broken = {}
    for name, path in _preset_files(workspace).items():
        try:
            _read_preset(name, path)
        except ConfigError as error:
            broken[name] = error
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
        name: Made a slug; one's own preset of that name is replaced.
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
    head: dict[str, Any] = {"title": title.strip() or short, "summary": summary, "for_whom": for_whom}
    head[UNSET] = [option for option, value in flat.items() if value is None]
    stated = {option: value for option, value in flat.items() if value is not None}
    path = workspace / "presets" / f"{short}.toml"
    write_text(path, toml_document(head, nest(stated)))
    return path


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
        values = {**flatten(load_preset(base, workspace).config), **_from_here(own)}
    else:
        values, problems = flatten(load_preset(source, workspace).config), ()
    changes = {} if overrides is None else overrides
    flat, name_problems = split(
        {name: parse_text(name, value) if isinstance(value, str) else value for name, value in changes.items()}
    )
    return parse_config({**values, **_from_here(flat)}, (*problems, *name_problems))


def save_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration as JSON, nested, every option spelled out.

    Raises:
        RunError: If the file cannot be written.
    """
    write_text(path, json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def load_config(path: Path) -> RunConfig:
    """Reads a complete configuration, as ``save_config`` writes it.

    Raises:
        ConfigError: If the file cannot be read or is no configuration, with every problem.
    """
    return parse_config(read_table(path))


def slug(name: str) -> str:
    """A name that is safe in a path and easy to type: lower case letters, digits and single dashes, 64 at most."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:64].strip("-")


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder.is_dir() else {}


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
    problems += tuple(
        Problem(key, f"{key} must be a text, got {text!r}") for key, text in about.items() if not isinstance(text, str)
    )
    if not isinstance(unset, list) or not all(isinstance(name, str) for name in unset):
        return about, flat, (*problems, Problem(UNSET, f"{UNSET} must be a list of options, got {unset!r}"))
    nothing, more = split(dict.fromkeys(unset))
    both = [Problem(name, f"{name} must have a value or be {UNSET}, got both") for name in nothing if name in flat]
    return about, {**flat, **nothing}, (*problems, *more, *both)


def _read_preset(name: str, path: Path) -> Preset:
    """Reads and checks one preset; the options' defaults complete a shipped one, the demo one of the workspace."""
    shipped = path.parent == PRESETS_DIR
    base = {} if shipped else flatten(load_preset(DEFAULT_PRESET).config)
    about, flat, problems = _parts_of(path)
    try:
        config = parse_config({**base, **flat}, problems)
    except ConfigError as error:
        raise ConfigError(
            [Problem(problem.option, f"{path}: {problem.message}") for problem in error.problems]
        ) from None
    return Preset(name, about["title"] or name, about["summary"], about["for_whom"], path, shipped, nest(flat), config)


def _from_here(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Makes relative paths that exist in the working directory absolute; all others stay relative to the project."""
    return {name: _path_from_here(value) if name in PATH_OPTIONS else value for name, value in flat.items()}


def _path_from_here(value: Any) -> Any:
    if not isinstance(value, str) or value in EMBEDDED_BASES:
        return value
    here = os.path.realpath(os.path.expanduser(value)) if "\0" not in value else ""
    return here if os.path.exists(here) and here != os.path.realpath(resolve_path(value)) else value
