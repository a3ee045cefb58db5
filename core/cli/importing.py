"""Commands that take over configs of other tools, and write them."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Base, Changes, WorkspaceOption, app, find_run, open_workspace, parse_changes
from core.config.foreign import READERS
from core.errors import ConfigError, Problem

FORMATS = ("json", "simpletuner")


@app.command("import")
def take_over(
    file: Annotated[Path, typer.Argument(help="A .json or .toml config, or a command line in a text or shell file.")],
    tool: Annotated[
        str | None, typer.Option("--from", help=f"Its tool: {', '.join(READERS)}; default: found out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the config is written, a .json file.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Preset for what the file lacks.")] = None,
    changes: Changes = None, workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:  # fmt: skip
    """Reads a config of SimpleTuner, diffusers' scripts or kohya's; says what became of each key; writes a config."""
    from core.config.files import write_text
    from core.config.flat import parse_text
    from core.config.foreign import import_file
    from core.config.foreign.kept import document, kept_of
    from core.config.foreign.report import as_json as report
    from core.config.foreign.report import ramp_lines, report_lines
    from core.config.presets import from_here, load_preset

    if tool is not None and tool not in READERS:
        raise ConfigError([Problem("--from", f"--from must be one of {', '.join(READERS)}, got {tool!r}")])
    if out is not None and out.suffix.lower() != ".json":
        raise ConfigError([Problem("--out", f"--out must be a .json file, got {str(out)!r}")])
    changed = {name: parse_text(name, value) for name, value in parse_changes(changes).items()}
    base = None if preset is None else load_preset(preset, open_workspace(workspace).root).config
    imported = import_file(file, tool).completed(base, from_here(changed))
    config, problems = _config_of(imported)
    ramps = () if config is None else imported.ramps(config)
    if as_json:
        told = {"from": imported.tool, **report(imported.findings, ramps, problems)}
        print(json.dumps({**told, "config": None if config is None else config.model_dump(mode="json")}))
    else:
        print(f"{file.name}: a file of {READERS[imported.tool].title}")
        print("\n".join([*report_lines(imported.findings), *ramp_lines(ramps)]))
    if config is None:
        raise ConfigError(problems)
    if out is not None:
        write_text(out, document(config, kept_of(imported)))
        if not as_json:
            print(f"written: {out}; python -m core train {out}")


def _config_of(imported):
    """The config and no problems, or None and what is wrong; what is missing says how it is given."""
    try:
        return imported.config(), ()
    except ConfigError as error:
        return None, tuple(
            Problem(problem.option, f"{problem.message}; add --set {problem.option}=…")
            if problem.message.endswith("must be given")
            else problem
            for problem in error.problems
        )


@app.command("config")
def write_config(
    source: Annotated[str, typer.Argument(help="A run, a preset, or a .toml or .json file.", metavar="RUN|CONFIG")],
    form: Annotated[str, typer.Option("--as", help=f"{' or '.join(FORMATS)}.")] = "json",
    out: Annotated[Path | None, typer.Option("--out", help="Where it is written; default: printed.")] = None,
    preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None,
) -> None:  # fmt: skip
    """Writes the config of a run, a preset or a file, for this workbench or as SimpleTuner's config.json."""
    from core.config.files import write_text
    from core.config.foreign.kept import document

    if form not in FORMATS:
        raise ConfigError([Problem("--as", f"--as must be {' or '.join(FORMATS)}, got {form!r}")])
    config, kept = _source_of(source, preset, changes, workspace)
    if form == "simpletuner":
        _write_simpletuner(config, kept, out)
    elif out is None:
        print(document(config, kept), end="")
    else:
        write_text(out, document(config, kept))
        print(f"written: {out}")


def _source_of(source: str, preset: str, changes: list[str] | None, root: Path | None):
    """The config of a run, a preset or a file, and what was kept of an import with it."""
    from core.config.foreign.kept import Kept, read_kept
    from core.config.presets import list_presets, resolve_config

    path = Path(source)
    if not os.path.isfile(source) and source not in list_presets(open_workspace(root).root):
        path = find_run(source, root).config_path
        source = str(path)
    is_file = path.suffix.lower() in (".json", ".toml") and os.path.isfile(path)
    kept = read_kept(path) if is_file else Kept()
    config = resolve_config(source, base=preset, overrides=parse_changes(changes), workspace=open_workspace(root).root)
    return config, kept


def _write_simpletuner(config, kept, out: Path | None) -> None:
    """Its config and its list of data sets; what cannot be said goes to the terminal."""
    from core.config.files import write_text
    from core.config.foreign.report import ramp_lines
    from core.config.foreign.simpletuner import write

    own = kept.tool == "simpletuner"
    made = write(config, kept.keys if own else {}, kept.files if own else {})
    texts = [json.dumps(part, indent=2, ensure_ascii=False) + "\n" for part in (made.config, made.backends)]
    if out is None:
        print(texts[0], end="")
    else:
        beside = out.parent / made.backends_name
        if beside == out:
            rule = "--out must be another file than the list of data sets, which data_backend_config names"
            raise ConfigError([Problem("--out", f"{rule}, got {str(out)!r} for both")])
        write_text(out, texts[0])
        write_text(beside, texts[1])
        print(f"written: {out} and {beside}, the data sets that data_backend_config names")
    differing = [row for row in made.ramps if abs(row.there - row.here) > 1e-9]
    for line in (*made.losses, *(ramp_lines(made.ramps) if differing else [])):
        typer.echo(line, err=True)
