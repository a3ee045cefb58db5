"""A run from its frozen folder to its final adapter, with every ending written down."""

import os
from collections.abc import Mapping
from contextlib import closing

import psutil

from core.config.deepspeed import zero_stage_of
from core.config.launching import read_accelerate_file
from core.config.run import RunConfig
from core.config.sharding import Sharding, sharding_of
from core.errors import ConfigError, Problem, RunError
from core.runs.cost import write_measured, write_predicted
from core.runs.files import is_missing
from core.runs.folder import RunFolder
from core.runs.heartbeat import StatusWriter
from core.runs.lock import hold_training_lock
from core.runs.manifest import check_manifest, write_manifest
from core.runs.processes import is_launched
from core.runs.records import record_event
from core.runs.status import live_process
from core.runs.workspace import workspace_of
from core.training.build import Parts, build, make_accelerator
from core.training.controls import control_of
from core.training.dry_run import measure
from core.training.environment import write_environment
from core.training.interrupts import heard
from core.training.loop import Loop, latest_checkpoint
from core.training.others import end_with_launcher
from core.training.report import Report, recorded
from core.training.sharding import held
from core.training.tracking import tracked

_SHARDERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")
"""What accelerate's launcher can be told to split a network with, as its environment variables name it."""


def train(folder: RunFolder, *, resume: bool = False) -> None:
    """Trains a frozen run in this process; returns when it is done or was stopped on request.

    The first Ctrl-C asks for a stop that saves, the second one ends it at once.

    Args:
        folder: holds ``config.json``.
        resume: go on from the newest checkpoint; without one, start at step 0.

    Raises:
        WorkbenchError: with its sentence, after it was written to the run's status; the status of a run that has
            begun, or is in progress, is left alone.
        KeyboardInterrupt: Ctrl-C ended it, which is written down too.
    """
    process = int(os.environ.get("RANK", "0"))
    main = process == 0
    end_with_launcher()
    if main:  # the others find the main process at work, and must
        _check_start(folder, resume)
    arm = folder.meta().get("arm")
    status = StatusWriter(folder, phase="loading", message="loading libraries", arm=arm) if main else None
    workspace = workspace_of(folder.path)
    report = Report(folder, status)
    is_over = False
    with recorded(status, folder, process), closing(report), heard(folder, main=main) as interrupts:
        if main:
            with hold_training_lock(workspace.root, workspace.identifier(folder)):
                _train(folder, report, status, resume)
        else:
            _train(folder, report, status, resume)
        is_over = True
    if interrupts.count > 0 and not is_over:
        raise KeyboardInterrupt


def _check_start(folder: RunFolder, resume: bool) -> None:
    if not resume and latest_checkpoint(folder) is not None:
        raise RunError(f"{folder.name} must be a run that has not begun; resume it instead")
    live = live_process(folder)
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}  # a launcher starts us as its child
    if live is not None and live.pid not in own:
        raise RunError(f"{folder.name} must be a run that is not in progress; wait for it or stop it")


def _train(folder: RunFolder, report: Report, status: StatusWriter | None, resume: bool) -> None:
    config = folder.config()
    control, (sharding, zero_stage) = control_of(config, folder), _split_of(folder)
    _refuse_launcher()
    checkpoint = latest_checkpoint(folder) if resume else None
    accelerator = make_accelerator(config, folder.logs_dir)
    _check_processes(config, folder, accelerator.num_processes)
    if accelerator.is_main_process:
        write_environment(folder, accelerator, resumed=checkpoint is not None)
    if status is not None:
        status.update(total=config.training.max_train_steps)
    class_images = workspace_of(folder.path).root / "class_images"
    parts = build(config, class_images, report, accelerator, control, sharding, zero_stage)
    if checkpoint is not None:
        check_manifest(folder, parts.manifest)
    elif accelerator.is_main_process:
        write_manifest(folder, parts.manifest)
    if config.scheduled_sampling.enabled and checkpoint is None:
        _predict_cost(folder, parts, report)
    _say_split(folder, parts, sharding)
    loop = Loop(folder, parts, report)
    if checkpoint is None:
        loop.begin_anew()
        _say_reflexflow(folder, parts)
    else:
        loop.resume_from(checkpoint)
    with tracked(accelerator, folder, config, after=loop.step):
        loop.run()
    if accelerator.is_main_process:
        write_measured(folder)
    if status is not None:
        status.finish("done", message=f"{loop.step} steps, adapter saved")


def _split_of(folder: RunFolder) -> tuple[Sharding | None, int]:
    """How the base model is split over the processes, and the stage of DeepSpeed, from the run's own frozen file."""
    if is_missing(folder.accelerate_path):
        return None, 0
    table = read_accelerate_file(folder.accelerate_path)
    return sharding_of(table), zero_stage_of(table)


def _refuse_launcher(environment: Mapping[str, str] = os.environ) -> None:
    """Refuses what a launcher of the user's own says of sharding: only the run's own file is honoured.

    Raises:
        ConfigError: it says something.
    """
    kinds = [name for name in _SHARDERS if environment.get(f"ACCELERATE_USE_{name}", "false").lower() == "true"]
    if kinds:
        rule = f"accelerate_config_path must say {kinds[0]} where the run is to use it, not the launcher's options"
        raise ConfigError([Problem("accelerate_config_path", f"{rule}; launch with --multi_gpu")])


def _check_processes(config: RunConfig, folder: RunFolder, processes: int) -> None:
    """Refuses a launch that is not what the configuration asks for."""
    asked, problems = config.training.num_processes, []
    if asked not in (1, processes):
        rule = f"num_processes must be the number of processes that were launched ({processes}), got {asked}"
        problems.append(Problem("num_processes", f"{rule}; start the run by `python -m core run`"))
    if not is_launched() and not is_missing(folder.accelerate_path):
        rule = "accelerate_config_path must be unset where no launcher started this process"
        problems.append(Problem("accelerate_config_path", f"{rule}; start the run by `python -m core run`"))
    if problems:
        raise ConfigError(problems)


def _say_split(folder: RunFolder, parts: Parts, sharding: Sharding | None) -> None:
    """What lies in each process, where something is split over them."""
    processes = f"split over {parts.accelerator.num_processes} processes"
    if sharding is not None:
        own, whole = held(parts.family.network)
        by = "; FSDP 1 is run by FSDP 2's means" if sharding.version == 1 else ""
        text = f"the base model is {processes}: {own} of {whole} weights in each{by}"
    elif parts.zero is not None:
        own, whole = parts.zero.held()
        text = f"the optimizer's state is {processes} by DeepSpeed: {own} of {whole} numbers in each"
    else:
        return
    if not parts.accelerator.is_main_process:
        return
    record_event(folder.events_path, "sharding", text, own=own, whole=whole)
    print(text, flush=True)


def _predict_cost(folder: RunFolder, parts: Parts, report: Report) -> None:
    """A dry run, whose forecast is later held against what the steps took."""
    report.phase("loading", "measuring what a step takes")
    measurement = measure(parts, report.check)
    parts.wait_for_all()
    if parts.accelerator.is_main_process:
        write_predicted(folder, measurement)


def _say_reflexflow(folder: RunFolder, parts: Parts) -> None:
    """Unset means on for flow matching: nobody should have to guess."""
    term = parts.options.objective.reflexflow
    if term is None or not parts.accelerator.is_main_process:
        return
    why = "as set" if parts.config.scheduled_sampling.reflexflow else "by itself, because the base is flow matching"
    text = f"ReflexFlow is on {why}: alpha {term.alpha:g}, beta1 {term.beta1:g}, beta2 {term.beta2:g}"
    record_event(folder.events_path, "reflexflow", text)
    print(text, flush=True)
