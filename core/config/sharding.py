"""FSDP as accelerate's configuration file says it: how the frozen base model is split over the processes.

Files of version 1 are run by version 2's means. Both split every weight over all processes; they differ in that version
1 flattens the weights of a block into one, which is not to be seen from outside.
"""

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
        version: of FSDP that the file says.
    """

    policy: str = "NO_WRAP"
    blocks: tuple[str, ...] | None = None
    min_num_params: int = 0
    reshard: bool = True
    version: int = 2


def sharding_of(table: Mapping[str, Any]) -> Sharding | None:
    """What a file that passes ``sharding_rules`` says; None where each process holds the whole network."""
    if table["distributed_type"] != "FSDP":
        return None
    fields = _fields(table)
    named = fields.get("transformer_layer_cls_to_wrap")
    blocks = None if named is None else tuple(name.strip() for name in named.split(","))
    return Sharding(
        fields.get("auto_wrap_policy", "NO_WRAP"), blocks, fields.get("min_num_params", 0),
        _reshard(fields), _version(fields),
    )  # fmt: skip


def sharding_rules(table: Mapping[str, Any]) -> list[str]:
    """Which fields of FSDP cannot be honoured, each as ``have …``.

    Args:
        table: of the file, whose ``distributed_type`` is FSDP.
    """
    if not isinstance(table.get("fsdp_config"), Mapping):
        return [f"have an fsdp_config, got {show_value(table.get('fsdp_config'))}"]
    fields, found = _fields(table), []
    version = _version(fields)
    if version not in list(_OF_VERSION):  # a list has no hash
        return [f"have fsdp_version 1 or 2, got {show_value(version)}"]
    rules = {**_RULES, **_OF_VERSION[version]}
    for name, value in fields.items():
        if name == "version":
            continue
        if name not in rules:
            why = f"it is none of FSDP {version} that is honoured"
            found.append(f"have no {_PREFIX}{name}, got {show_value(value)}: {why}")
            continue
        passes, rule = rules[name]
        if not passes(value):
            found.append(f"have {_PREFIX}{name} {rule}, got {show_value(value)}")
    if version == 1 and {"sharding_strategy", "reshard_after_forward"} <= set(fields):
        found.append(f"have one of {_PREFIX}sharding_strategy and {_PREFIX}reshard_after_forward, got both")
    return found


def _version(fields: Mapping[str, Any]) -> Any:
    """Accelerate's own where the file says none."""
    return fields.get("version", 1)


def _reshard(fields: Mapping[str, Any]) -> bool:
    if _version(fields) == 2:
        return fields.get("reshard_after_forward", True)
    named = fields.get("sharding_strategy", fields.get("reshard_after_forward", "FULL_SHARD"))
    return _STRATEGIES[str(named).upper()]


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without their prefix, which accelerate's file may leave out."""
    return {str(name).removeprefix(_PREFIX): value for name, value in table["fsdp_config"].items()}


def _is_names(value: Any) -> bool:
    return isinstance(value, str) and all(name.strip().isidentifier() for name in value.split(","))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_Rules = dict[str, tuple[Callable[[Any], bool], str]]
_RULES: _Rules = {
    "auto_wrap_policy": (lambda value: value in POLICIES, f"one of {', '.join(POLICIES)}"),
    "transformer_layer_cls_to_wrap": (_is_names, "class names with commas between them"),
    "min_num_params": (_is_count, "a whole number from 0"),
    "cpu_ram_efficient_loading": (lambda value: value is False, "false: each process reads the base model itself"),
    "offload_params": (lambda value: value is False, "false: weights that wait on the CPU are not supported"),
    "activation_checkpointing": (lambda value: value is False, "false; set gradient_checkpointing instead"),
    "state_dict_type": (lambda value: value == "FULL_STATE_DICT", "FULL_STATE_DICT: checkpoints are whole"),
}
"""By field, without the prefix: what passes, and the rule in words."""
_STRATEGIES = {"FULL_SHARD": True, "1": True, "SHARD_GRAD_OP": False, "2": False}
"""Of version 1, by name and by number: whether what a block has gathered is let go of after its forward."""
_STRATEGY = (
    lambda value: str(value).upper() in _STRATEGIES,
    "FULL_SHARD or SHARD_GRAD_OP: the base model is split over all processes, or by MULTI_GPU not at all",
)
_OF_VERSION: dict[int, _Rules] = {
    1: {
        "sharding_strategy": _STRATEGY,
        "reshard_after_forward": _STRATEGY,  # as accelerate has come to call it
        "backward_prefetch": (
            lambda value: value in (None, 1, "1", "BACKWARD_PRE"),
            "BACKWARD_PRE: a block is gathered while the one before it goes backward",
        ),
        "forward_prefetch": (lambda value: value is False, "false: a block is gathered when its turn comes"),
        "use_orig_params": (_is_flag, "true or false"),
        "sync_module_states": (_is_flag, "true or false"),
    },
    2: {"reshard_after_forward": (_is_flag, "true or false")},
}
"""By version, what only it has. Weights are never flattened, and each process reads the same base model: the two flags
of version 1 change nothing."""
