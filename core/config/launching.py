"""With how many processes a run is trained, and accelerate's own configuration file that says the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.config.accelerate_file import PLAIN, field_rules
from core.config.deepspeed import zero_rules
from core.config.files import LARGEST
from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.config.sharding import sharding_rules
from core.config.spec import show_value
from core.errors import Problem, reason_of, unreadable
from core.regular import TooLarge, read_regular

FILE = "accelerate_config_path"
_INSTEAD = "FSDP 2 shards the base model; bf16 and gradient_checkpointing save memory in each process"


def launch_problems(config: RunConfig) -> list[Problem]:
    """What is wrong with the file that accelerate is to launch with; to be asked before it is frozen into a run."""
    text = config.training.accelerate_config_path
    if text is None:
        return []
    path = resolve_path(text)
    try:
        table = read_accelerate_file(path)
    except OSError as error:
        if isinstance(error, TooLarge):
            return [Problem(FILE, f"{FILE} must be a file of accelerate's, but {reason_of(error)}")]
        return [unreadable(FILE, path, error)]
    except ValueError as error:
        return [Problem(FILE, f"{FILE} must be a file that `accelerate config` writes, got {path}: {error}")]
    return [Problem(FILE, f"{FILE} must {rule}") for rule in _rules(table, config)]


def read_accelerate_file(path: Path) -> dict[str, Any]:
    """What a file that ``accelerate config`` wrote says.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no YAML, or no table of it.
    """
    try:
        table = yaml.safe_load(read_regular(path, LARGEST).decode("utf-8"))
    except yaml.YAMLError:
        raise ValueError("it is no YAML") from None
    if not isinstance(table, dict) or "distributed_type" not in table:
        raise ValueError("it has no distributed_type")
    return table


def _rules(table: Mapping[str, Any], config: RunConfig) -> list[str]:
    training, found = config.training, field_rules(table)
    kind = str(table["distributed_type"])
    if kind == "FSDP":
        found += [*sharding_rules(table), *_sharded_rules(config)]
    elif kind == "DEEPSPEED":
        found += zero_rules(table, config)
    elif kind not in PLAIN:
        found.append(f"have distributed_type FSDP, DEEPSPEED, NO, MULTI_CPU or MULTI_GPU, got {kind}; {_INSTEAD}")
    processes = table.get("num_processes", -1)
    if processes not in (-1, training.num_processes):
        found.append(
            f"have num_processes = {training.num_processes} as the option, or -1, got {show_value(processes)}; "
            "set num_processes"
        )
    precision = table.get("mixed_precision", training.mixed_precision)
    precision = "no" if precision is False else precision  # YAML reads a bare no so
    if precision != training.mixed_precision:
        found.append(
            f"have mixed_precision = {training.mixed_precision} as the option, or none, got {show_value(precision)}; "
            "set mixed_precision"
        )
    return found


def _sharded_rules(config: RunConfig) -> list[str]:
    """What else FSDP asks of a run."""
    training, found = config.training, []
    if training.num_processes == 1:
        found.append("have another distributed_type than FSDP with num_processes = 1; set num_processes to 2 or more")
    if training.mixed_precision == "fp16":
        found.append("have another distributed_type than FSDP with mixed_precision = fp16; use bf16 or no")
    if config.lora.train_text_encoder:
        found.append("have another distributed_type than FSDP with train_text_encoder = true; set it to false")
    return found
