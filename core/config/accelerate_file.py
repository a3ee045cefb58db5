"""The fields of a file that ``accelerate config`` wrote: each is honoured, or refused by name."""

from collections.abc import Mapping
from typing import Any

from core.config.spec import show_value

PLAIN = ("NO", "MULTI_CPU", "MULTI_GPU", "MULTI_NPU", "MULTI_XPU", "MULTI_MLU", "MULTI_MUSA", "MULTI_SDAA", "MULTI_HPU")
"""Kinds of accelerate launches in which each process holds the whole network."""
PASSED = (
    "distributed_type", "num_processes", "mixed_precision", "num_machines", "machine_rank", "main_process_ip",
    "main_process_port", "rdzv_backend", "same_network", "gpu_ids", "enable_cpu_affinity", "use_cpu", "debug",
)  # fmt: skip
"""What is looked at elsewhere, or is the launcher's own and reaches it."""
ONLY: Mapping[str, tuple[Any, str]] = {
    "compute_environment": ("LOCAL_MACHINE", "the launcher runs here"),
    "main_training_function": ("main", "it is of notebooks and TPUs"),
}
"""Fields that have but one value here, and why."""
OF_KINDS = {"FSDP": "fsdp_config", "DEEPSPEED": "deepspeed_config"}
"""What splits something over the processes, and the field that says how."""
LEFT_OUT = {
    "dynamo_config": "a compiled network is not supported",
    "dynamo_backend": "a compiled network is not supported",
    "fp8_config": "8-bit floats are not supported",
    "megatron_lm_config": "Megatron is not supported",
    "parallelism_config": "the processes share the batch, and with FSDP 2 the base model, and nothing else",
    "mpirun_config": "MPI is not supported; use a launcher of its own",
    "downcast_bf16": "TPUs are not supported",
    **dict.fromkeys(("tpu_name", "tpu_zone", "tpu_use_cluster", "tpu_use_sudo", "tpu_vm", "tpu_env"), "TPUs are not"
    " supported"),
    **dict.fromkeys(("command_file", "commands"), "they are of TPUs, which are not supported"),
}  # fmt: skip
"""Fields that must be unset, and why."""
_EMPTY = (None, False, "no", "NO", "No", [], {}, "", {"dynamo_backend": "NO"}, {"dynamo_backend": "no"})


def field_rules(table: Mapping[str, Any]) -> list[str]:
    """Which fields cannot be honoured, each as ``have …``; those of FSDP and DeepSpeed are not looked at."""
    found = []
    for name, value in table.items():
        if name in LEFT_OUT and value not in _EMPTY:
            found.append(f"have no {name}, got {show_value(value)}: {LEFT_OUT[name]}")
        elif name in ONLY and value != ONLY[name][0]:
            only, why = ONLY[name]
            found.append(f"have {name} = {only}, got {show_value(value)}: {why}")
        elif name not in (*PASSED, *ONLY, *LEFT_OUT, *OF_KINDS.values()):
            found.append(f"have fields of accelerate's only, got {show_value(name)}")
    for kind, name in OF_KINDS.items():
        if table["distributed_type"] != kind and table.get(name) not in _EMPTY:
            found.append(f"have no {name} with distributed_type {table['distributed_type']}; say {kind}")
    return found
