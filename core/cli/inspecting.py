"""Commands that find out what a training did: everything about one adapter, and the scores of whole experiments."""

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from core.cli.common import Changes, WorkspaceOption, app, checked_config, find_run, open_workspace
from core.errors import ConfigError, Problem


@app.command()
def inspect(
    target: Annotated[
        str, typer.Argument(help="A run, a LoRA's .safetensors file, or the word base.", metavar="RUN|FILE|base")
    ],
    preset: Annotated[
        str, typer.Option("--preset", help="Preset or file that lends base model and pictures to a file or a base.")
    ] = "demo",
    changes: Changes = None,
    out: Annotated[Path | None, typer.Option("--out", help="A new or empty folder for what is found.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Audits an adapter and measures its drift beside its base model's."""
    from core.evaluation.inspection import inspect as look_into
    from core.runs.heartbeat import StatusWriter
    from core.runs.inspections import begin_inspection
    from core.training.report import Report, recorded

    wanted = _target(target, preset, changes, workspace)
    folder = _folder(wanted, out, workspace)
    begin_inspection(folder, wanted.what, wanted.name)
    status = StatusWriter(folder, phase="loading", message="loading the base model")
    found, report = None, Report(folder, status)
    with recorded(status), closing(report):
        found = look_into(wanted, folder, report)
        status.finish("done", message="inspected")
    if found is None:
        print(f"stopped: {folder.path} holds no result")
        raise typer.Exit(1)
    _show(wanted, found, as_json)


def _show(wanted, found, as_json: bool) -> None:
    from core.cli.inspection_words import audit_lines, lines_of
    from core.evaluation.inspection import alarms_found
    from core.evaluation.inspection import as_json as everything
    from core.runs.files import to_json

    records = found.records()
    if as_json:
        print(to_json(everything(found, records)))
        return
    alarms = [f"alarm: {alarm.text}" for alarm in alarms_found(wanted, records)]
    print("\n".join([*audit_lines(found), *lines_of(records), *alarms, f"folder: {found.folder.path}"]))


def _target(name: str, preset: str, changes: list[str] | None, workspace: Path | None):
    """What a typed name means: a file has a dot in its name, or is a folder that holds a LoRA and no run."""
    from core.evaluation.inspection import Target, run_target
    from core.models.lora_file import read_lora
    from core.runs.folder import RunFolder
    from core.runs.workspace import workspace_of

    if name == "base":
        return Target("base", name, checked_config(preset, "demo", changes, workspace))
    path = Path(os.path.expanduser(name))
    is_run = os.path.isfile(path / "config.json")
    if not is_run and (os.path.exists(path) or "." in path.name):
        lora = read_lora(path.absolute())
        return Target("file", str(lora.path), checked_config(preset, "demo", changes, workspace), lora=lora)
    if changes:
        raise ConfigError(
            [Problem("--set", f"--set must be left out for a run, which has its own config, got {changes}")]
        )
    run = RunFolder(path) if is_run else find_run(name, workspace)
    return run_target(run, workspace_of(run.path).identifier(run))


def _folder(wanted, out: Path | None, workspace: Path | None):
    from core.runs.folder import RunFolder
    from core.runs.inspections import inspection_folder, name_of_file, new_inspection

    if out is not None:
        return RunFolder(out)
    if wanted.run is not None:
        return inspection_folder(wanted.run)
    base = Path(wanted.config.model.pretrained_model_name_or_path).name
    name = f"base {base}" if wanted.lora is None else name_of_file(wanted.lora.path)
    return new_inspection(open_workspace(workspace), name)


@app.command()
def score(
    name: Annotated[str, typer.Argument(help="An experiment or a run.", metavar="EXPERIMENT|RUN")],
    steps: Annotated[str, typer.Option("--steps", help="Numbers of sampling steps, without guidance.")] = "4,8,16,28",
    guidance: Annotated[str, typer.Option("--guidance", help="Guidance, at the runs' own steps.")] = "1,2,4",
    samples: Annotated[
        int | None, typer.Option("--samples", min=2, max=4096, help="Samples a score; default: as while training.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Scores finished runs in full, and at other sampling steps and guidance; what is there already is kept."""
    swept = _numbers("--steps", steps, 1, 1000, int), _numbers("--guidance", guidance, 1, 30, float)
    path, every = _runs(name, workspace)
    runs = _finished(every)
    from core.evaluation.sweep import plan_work
    from core.runs.files import make_folder
    from core.runs.heartbeat import StatusWriter
    from core.runs.scoring import scoring_folder
    from core.training.report import Report, recorded

    folder = scoring_folder(path)
    make_folder(folder.path)
    works = [plan_work(run, steps=swept[0], guidance=swept[1], samples=samples) for run in runs]
    status = StatusWriter(folder, phase="loading", message="loading the base model")
    is_done, report = False, Report(folder, status)
    with recorded(status), closing(report):
        _score(works, report)
        status.finish("done", message="scored")
        is_done = True
    if not is_done:
        print("stopped: what was measured is kept")
        raise typer.Exit(1)


def _score(works, report) -> None:
    """Measures what runs lack, one run after another."""
    from core.evaluation.sweep import Bases, carry_out, steps_of, subject_for

    bases, subject = Bases.of(work.run for work in works), None
    total, done = steps_of(works, bases), 0
    report.phase("sampling", "scoring", total, "forward")

    def on_step() -> None:
        nonlocal done
        done += 1
        report.progress(done, total)

    for work in works:
        count = 0
        if work.missing:
            subject = subject_for(work.run, subject)
            count = sum(1 for _ in carry_out(work, bases, subject, on_step))
        print(f"{work.run.name}: {count} of {len(work.wanted)} measurements made, the others were there", flush=True)


def _runs(name: str, workspace: Path | None):
    """Folder and runs of an experiment, or of one run."""
    from core.runs.experiment_folder import FILE_NAME, Experiment, list_experiments

    path = Path(os.path.expanduser(name))
    if os.path.isfile(path / FILE_NAME):
        return path.absolute(), [arm.run for arm in Experiment(path).arms]
    found = next((each for each in list_experiments(open_workspace(workspace)) if each.name == name), None)
    if found is not None:
        return found.path, [arm.run for arm in found.arms]
    run = find_run(name, workspace)
    return run.path, [run]


def _finished(runs):
    """Those that can be scored; the others are said."""
    from core.errors import RunError
    from core.evaluation.inspection import run_target

    found, problems = [], []
    for run in runs:
        try:
            run_target(run, run.name)
            found.append(run)
        except RunError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"passed over: {problem}", file=sys.stderr)
    if not found:
        raise RunError("there must be a finished run to score, got none")
    return found


def _numbers(option: str, text: str, least: float, most: float, kind: type):
    """A list of numbers that was typed.

    Raises:
        ConfigError: a part is none, or lies outside its bounds.
    """
    try:
        found = tuple(dict.fromkeys(kind(part) for part in text.split(",") if part.strip()))
    except ValueError:
        found = ()
    if not found or not all(least <= value <= most for value in found):
        rule = f"{option} must list numbers from {least:g} to {most:g}, got {text!r}; for example {option} 4,8"
        raise ConfigError([Problem(option, rule)])
    return found
