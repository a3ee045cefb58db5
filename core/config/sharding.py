"""FSDP as accelerate's configuration file says it: how the frozen base model is split over the processes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.config.spec import show_value

POLICIES = ("TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", "NO_WRAP")
_PREFIX = "fsdp_"


@dataclass(frozen=True)
class Sharding:
    """How the base model is split.

    Attributes:
        policy: which parts of the network are gathered at a time, one of ``POLICIES``.
        blocks: class names of those parts for the first policy; None is those that the network's class names.
        min_num_params: parameters of the smallest such part for the second one.
        reshard: whether a part lets go of what it has gathered after its forward, until the backward.
    """

    policy: str = "NO_WRAP"
    blocks: tuple[str, ...] | None = None
    min_num_params: int = 0
    reshard: bool = True


def sharding_of(table: Mapping[str, Any]) -> Sharding | None:
    """What a file that passes ``sharding_rules`` says; None where each process holds the whole network."""
    if table["distributed_type"] != "FSDP":
        return None
    fields = _fields(table)
    named = fields.get("transformer_layer_cls_to_wrap")
    blocks = None if named is None else tuple(name.strip() for name in named.split(","))
    return Sharding(
        fields.get("auto_wrap_policy", "NO_WRAP"), blocks, fields.get("min_num_params", 0),
        fields.get("reshard_after_forward", True),
    )  # fmt: skip


def sharding_rules(table: Mapping[str, Any]) -> list[str]:
    """Which fields of FSDP cannot be honoured, each as ``have …``.

    Args:
        table: of the file, whose ``distributed_type`` is FSDP.
    """
    if not isinstance(table.get("fsdp_config"), Mapping):
        return [f"have an fsdp_config with fsdp_version 2, got {show_value(table.get('fsdp_config'))}"]
    fields, found = _fields(table), []
    if fields.get("version") != 2:
        got = show_value(fields.get("version"))
        found.append(f"have fsdp_version = 2, got {got}: FSDP 1 flattens frozen and trained weights into one")
    for name, value in fields.items():
        if name == "version":
            continue
        if name not in _RULES:
            found.append(f"have no {_PREFIX}{name}, got {show_value(value)}: it is none of FSDP 2 that is honoured")
            continue
        passes, rule = _RULES[name]
        if not passes(value):
            found.append(f"have {_PREFIX}{name} {rule}, got {show_value(value)}")
    return found


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without their prefix, which accelerate's file may leave out."""
    return {str(name).removeprefix(_PREFIX): value for name, value in table["fsdp_config"].items()}


def _is_names(value: Any) -> bool:
    return isinstance(value, str) and all(name.strip().isidentifier() for name in value.split(","))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "auto_wrap_policy": (lambda value: value in POLICIES, f"one of {', '.join(POLICIES)}"),
    "transformer_layer_cls_to_wrap": (_is_names, "class names with commas between them"),
    "min_num_params": (_is_count, "a whole number from 0"),
    "reshard_after_forward": (lambda value: isinstance(value, bool), "true or false"),
    "cpu_ram_efficient_loading": (lambda value: value is False, "false: each process reads the base model itself"),
    "offload_params": (lambda value: value is False, "false: weights that wait on the CPU are not supported"),
    "activation_checkpointing": (lambda value: value is False, "false; set gradient_checkpointing instead"),
    "state_dict_type": (lambda value: value == "FULL_STATE_DICT", "FULL_STATE_DICT: checkpoints are whole"),
}
"""By field, without the prefix: what passes, and the rule in words."""
