"""Which files of FSDP are honoured, and how."""

import pytest
from accelerate.commands.to_fsdp2 import ARGUMENT_KEY_MAPPING, ARGUMENT_VALUE_MAPPING
from several_processes import written
from tiny_runs import bases, config, pictures, runs_dir

from core.config.launching import launch_problems
from core.config.sharding import Sharding, sharding_of, sharding_rules

__all__ = ["bases", "config", "pictures", "runs_dir", "written"]

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\nnum_machines: 1\nnum_processes: 2\n"
FSDP = GOOD + "fsdp_config: {fsdp_version: 2}\n"
FSDP_1 = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config:
  fsdp_activation_checkpointing: false
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_backward_prefetch: BACKWARD_PRE
  fsdp_cpu_ram_efficient_loading: false
  fsdp_forward_prefetch: false
  fsdp_offload_params: false
  fsdp_sharding_strategy: SHARD_GRAD_OP
  fsdp_state_dict_type: FULL_STATE_DICT
  fsdp_sync_module_states: true
  fsdp_transformer_layer_cls_to_wrap: ResnetBlock2D
  fsdp_use_orig_params: true
num_processes: 2
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD, "have an fsdp_config, got nothing"),
        (FSDP.replace("2}", "3}"), "have fsdp_version 1 or 2, got 3"),
        (FSDP.replace("2}", "[1]}"), "have fsdp_version 1 or 2, got [1]"),
        (
            FSDP.replace("2}", "1, fsdp_sharding_strategy: NO_SHARD}"),
            "have fsdp_sharding_strategy FULL_SHARD or ",
        ),
        (
            FSDP.replace("2}", "1, fsdp_sharding_strategy: 4}"),
            "over all processes, or by MULTI_GPU not at all, got",
        ),
        (FSDP.replace("2}", "1, fsdp_reshard_after_forward: true}"), "have fsdp_reshard_after_forward FULL_SHARD or"),
        (
            FSDP.replace("2}", "1, fsdp_reshard_after_forward: FULL_SHARD, fsdp_sharding_strategy: SHARD_GRAD_OP}"),
            "have one of fsdp_sharding_strategy and fsdp_reshard_after_forward, got both",
        ),
        (FSDP.replace("2}", "1, fsdp_backward_prefetch: NO_PREFETCH}"), "have fsdp_backward_prefetch BACKWARD_PRE"),
        (FSDP.replace("2}", "1, fsdp_forward_prefetch: true}"), "have fsdp_forward_prefetch false"),
        (FSDP.replace("2}", "1, fsdp_use_orig_params: 3}"), "have fsdp_use_orig_params true or false"),
        (FSDP.replace("2}", "1, fsdp_sync_module_states: 3}"), "have fsdp_sync_module_states true or false"),
        (FSDP.replace("2}", "1, fsdp_offload_params: true}"), "have fsdp_offload_params false"),
        (FSDP.replace("2}", "1, fsdp_gathering: true}"), "none of FSDP 1 that is honoured"),
        (FSDP.replace("2}", "2, fsdp_offload_params: true}"), "have fsdp_offload_params false"),
        (FSDP.replace("2}", "2, fsdp_cpu_ram_efficient_loading: true}"), "have fsdp_cpu_ram_efficient_loading false"),
        (FSDP.replace("2}", "2, activation_checkpointing: true}"), "false; set gradient_checkpointing instead"),
        (FSDP.replace("2}", "2, fsdp_state_dict_type: SHARDED_STATE_DICT}"), "FULL_STATE_DICT: checkpoints are whole"),
        (FSDP.replace("2}", "2, fsdp_auto_wrap_policy: ALL}"), "have fsdp_auto_wrap_policy one of"),
        (FSDP.replace("2}", "2, fsdp_min_num_params: -1}"), "have fsdp_min_num_params a whole number from 0"),
        (FSDP.replace("2}", "2, fsdp_reshard_after_forward: FULL_SHARD}"), "reshard_after_forward true or false"),
        (FSDP.replace("2}", "2, fsdp_transformer_layer_cls_to_wrap: 3}"), "class names with commas between"),
        (FSDP.replace("2}", "2, fsdp_use_orig_params: true}"), "have no fsdp_use_orig_params"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused(config, written, text, words):
    (problem,) = launch_problems(config(num_processes=2, accelerate_config_path=written(text)))
    assert problem.option == "accelerate_config_path"
    assert words in problem.message


@pytest.mark.parametrize("text", [FSDP, FSDP_1])
def test_a_file_that_can_be_honoured_passes(config, written, text):
    assert launch_problems(config(num_processes=2, accelerate_config_path=written(text))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "num_processes = 1; set num_processes to 2 or more"),
        ({"num_processes": 2, "mixed_precision": "fp16"}, "mixed_precision = fp16; use bf16 or no"),
        ({"num_processes": 2, "train_text_encoder": True}, "train_text_encoder = true; set it to false"),
    ],
)
def test_fsdp_needs_several_processes_no_fp16_and_no_trained_text_encoders(config, written, changes, words):
    path = written(FSDP.replace("num_processes: 2", ""))
    (problem,) = launch_problems(config(accelerate_config_path=path, **changes))
    assert words in problem.message


def test_the_fields_of_fsdp_reach_the_training():
    fields = {"fsdp_version": 2, "auto_wrap_policy": "SIZE_BASED_WRAP", "fsdp_min_num_params": 7}
    table = {"distributed_type": "FSDP", "fsdp_config": {**fields, "fsdp_reshard_after_forward": False}}
    assert sharding_of(table) == Sharding("SIZE_BASED_WRAP", None, 7, False)
    named = {"fsdp_version": 2, "fsdp_transformer_layer_cls_to_wrap": "One, Two"}
    assert sharding_of({**table, "fsdp_config": named}).blocks == ("One", "Two")
    assert sharding_of({"distributed_type": "NO"}) is None


@pytest.mark.parametrize(
    ("fields", "reshard"),
    [
        ({}, True),
        ({"fsdp_sharding_strategy": "FULL_SHARD"}, True),
        ({"fsdp_sharding_strategy": 2}, False),
        ({"fsdp_version": 1, "fsdp_reshard_after_forward": "SHARD_GRAD_OP"}, False),
    ],
)
def test_the_strategy_of_fsdp_1_says_when_a_block_is_let_go_of(fields, reshard):
    sharding = sharding_of({"distributed_type": "FSDP", "fsdp_config": fields})
    assert sharding == Sharding(reshard=reshard, version=1)
    names = ARGUMENT_VALUE_MAPPING["fsdp_sharding_strategy"]  # accelerate's own way from version 1 to version 2
    assert all(sharding_of(strategy(name)).reshard is names[name] for name in ("FULL_SHARD", "SHARD_GRAD_OP"))


def strategy(name: str) -> dict:
    return {"distributed_type": "FSDP", "fsdp_config": {"fsdp_sharding_strategy": name}}


@pytest.mark.parametrize("version", [1, 2])
def test_no_field_that_accelerate_asks_for_is_unknown(version):
    kept = {
        name for name, new in ARGUMENT_KEY_MAPPING.items() if version == 1 or (isinstance(new, str) and new == name)
    }
    table = {"fsdp_config": {**dict.fromkeys(kept, "?"), "fsdp_version": version}}
    assert not [rule for rule in sharding_rules(table) if rule.startswith("have no ")]
