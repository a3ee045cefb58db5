"""A run of several processes: the same command under ``accelerate launch``."""

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from core.config.launching import read_accelerate_file
from core.runs.files import is_missing
from core.runs.folder import RunFolder
from core.runs.launch import child_environment

MARK = "ROLLOUT_LAUNCHED"
"""Set in what this module launches: a launcher that starts one process sets no rank."""


def is_launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher started this process: accelerate's, torch's or a cluster's."""
    return "RANK" in environment or MARK in environment


def launch_command(folder: RunFolder, verb: str) -> list[str] | None:
    """The command that trains a run in the processes that its configuration asks for; None where this one will do.

    Args:
        folder: of the run.
        verb: ``run`` or ``resume``.
    """
    training = folder.config().training
    is_alone = training.num_processes == 1 and is_missing(folder.accelerate_path)
    if is_alone or is_launched():
        return None
    return [
        sys.executable, "-m", "accelerate.commands.launch", *_launcher_words(folder, training.num_processes),
        "--module", "core", verb, str(folder.path),
    ]  # fmt: skip


def launch_instead(folder: RunFolder, verb: str) -> None:
    """Becomes the launcher of the run's processes, under this very pid; returns where this process is enough."""
    command = launch_command(folder, verb)
    if command is not None:
        _become(command, launch_environment(folder))


def launch_environment(folder: RunFolder) -> dict[str, str]:
    """What a launcher of the run's processes is told beside its command."""
    told = {**child_environment(), MARK: "1"}
    if not is_missing(folder.accelerate_path) and read_accelerate_file(folder.accelerate_path).get("use_cpu") is True:
        told["ACCELERATE_USE_CPU"] = "true"  # of several processes the launcher tells this to none
    return told


def _launcher_words(folder: RunFolder, processes: int) -> list[str]:
    count = ["--num_processes", str(processes)]
    threads = [] if "OMP_NUM_THREADS" in os.environ else ["--num_cpu_threads_per_process", str(_threads(processes))]
    if is_missing(folder.accelerate_path):
        quiet = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]  # else it warns of each
        # port 0 is a free one; --multi_gpu is the launcher of several processes, of the CPU too
        return ["--multi_gpu", *count, "--main_process_port", "0", *quiet, *threads]
    kind = str(read_accelerate_file(folder.accelerate_path)["distributed_type"])
    # FSDP and DeepSpeed too: the training splits by itself, from the run's file, as accelerate does on no CPU
    several = ["--multi_gpu"] if processes > 1 and kind in ("NO", "MULTI_CPU", "FSDP", "DEEPSPEED") else []
    return ["--config_file", str(folder.accelerate_path), *several, *count, *threads]


def _threads(processes: int) -> int:
    cores = os.cpu_count()
    return max((1 if cores is None else cores) // processes, 1)


def _become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment)
