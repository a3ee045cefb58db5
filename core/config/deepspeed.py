"""DeepSpeed as accelerate's configuration file says it: how the optimizer's state is split over the processes."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from core.config.run import RunConfig
from core.config.spec import show_value

STAGES = (0, 1, 2)
MODULE = "deepspeed"
INSTALL = 'pip install "rollout-workbench[deepspeed]"'
INSTEAD = (
    "distributed_type: FSDP with fsdp_config: {fsdp_version: 2, fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP, "
    "fsdp_cpu_ram_efficient_loading: false}"
)
"""What splits a frozen base model here, as stage 3 would."""
_NONE = (None, "none", "")


def zero_stage_of(table: Mapping[str, Any]) -> int:
    """The stage of ZeRO that a file which passes ``zero_rules`` says; 0 splits nothing."""
    return _fields(table)["zero_stage"] if table["distributed_type"] == "DEEPSPEED" else 0


def zero_rules(table: Mapping[str, Any], config: RunConfig) -> list[str]:
    """Which fields of DeepSpeed cannot be honoured, and what else it asks of a run, each as ``have …``.

    Args:
        table: of the file, whose ``distributed_type`` is DEEPSPEED.
        config: of the run.
    """
    if not isinstance(table.get("deepspeed_config"), Mapping):
        return [f"have a deepspeed_config with a zero_stage, got {show_value(table.get('deepspeed_config'))}"]
    fields, found = _fields(table), []
    for name, value in fields.items():
        passes, rule = _RULES.get(name, (_is_unset, "unset: it is none of DeepSpeed's that is honoured"))
        if not passes(value):
            found.append(f"have {name} {rule}, got {show_value(value)}")
    training = config.training
    for name, asked, option in (
        ("gradient_accumulation_steps", training.gradient_accumulation_steps, "gradient_accumulation_steps"),
        ("gradient_clipping", training.max_grad_norm, "max_grad_norm"),
    ):
        if fields.get(name) not in (None, "auto", asked):
            found.append(f"have {name} = {asked} as {option}, or none, got {show_value(fields[name])}; set {option}")
    return found + (_run_rules(config) if fields["zero_stage"] in (1, 2) else [])


def _run_rules(config: RunConfig) -> list[str]:
    """What stages 1 and 2 ask of a run."""
    training, stages, found = config.training, "zero_stage 0 or another distributed_type than DEEPSPEED", []
    for name, value, unfit, do in (
        ("num_processes", training.num_processes, training.num_processes == 1, "set num_processes to 2 or more"),
        ("mixed_precision", training.mixed_precision, training.mixed_precision == "fp16", "use bf16 or no"),
        ("optimizer", training.optimizer, training.optimizer != "adamw", "take adamw"),
        ("train_text_encoder", "true", config.lora.train_text_encoder, "set it to false"),
    ):
        if unfit:
            found.append(f"have {stages} with {name} = {value}; {do}")
    if find_spec(MODULE) is None:
        found.append(f"have {stages} where deepspeed is not installed; {INSTALL} adds it")
    return found


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """With accelerate's own stage where the file says none."""
    return {"zero_stage": 2, **table["deepspeed_config"]}


def _is_unset(value: Any) -> bool:
    return value in _NONE or value is False


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _any(_value: Any) -> bool:
    return True


_OFFLOAD = (_is_unset, "none: state that waits elsewhere is not supported, and an adapter's is small")
_WHERE = (_is_unset, "unset: nothing is kept elsewhere")
_MACHINES = (_is_unset, "unset: each machine has a launcher of its own")
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "zero_stage": (
        lambda value: not isinstance(value, bool) and value in STAGES,
        f"0, 1 or 2; where the base model does not fit on one device, write {INSTEAD}",
    ),
    "gradient_accumulation_steps": (_any, ""),
    "gradient_clipping": (_any, ""),
    "offload_optimizer_device": _OFFLOAD,
    "offload_optimizer_nvme_path": _WHERE,
    "offload_param_device": (_is_unset, f"none; where the base model does not fit on one device, write {INSTEAD}"),
    "offload_param_nvme_path": _WHERE,
    "zero3_init_flag": (_is_flag, "true or false"),
    "zero3_save_16bit_model": (_is_flag, "true or false"),
    "deepspeed_config_file": (_is_unset, "unset; write zero_stage into this file and set the options"),
    "deepspeed_multinode_launcher": (
        lambda value: value in (*_NONE, "standard"), "standard: each machine has a launcher of its own",
    ),
    "deepspeed_hostfile": _MACHINES,
    "deepspeed_exclusion_filter": _MACHINES,
    "deepspeed_inclusion_filter": _MACHINES,
}  # fmt: skip
"""By field: what passes, and the rule in words. The two flags of stage 3 mean nothing below it, as in accelerate."""
