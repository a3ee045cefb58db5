"""Which files of DeepSpeed are honoured, and how."""

import pytest
from several_processes import installed, written
from tiny_runs import bases, config, pictures, runs_dir

from core.config import deepspeed
from core.config.deepspeed import zero_stage_of
from core.config.launching import launch_problems

__all__ = ["bases", "config", "installed", "pictures", "runs_dir", "written"]

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: DEEPSPEED\nnum_machines: 1\nnum_processes: 2\n"
ZERO = GOOD + "deepspeed_config: {zero_stage: 1}\n"
ZERO_WRITTEN = """\
compute_environment: LOCAL_MACHINE
debug: false
deepspeed_config:
  deepspeed_multinode_launcher: standard
  gradient_accumulation_steps: 1
  gradient_clipping: 1.0
  offload_optimizer_device: none
  offload_param_device: none
  zero3_init_flag: false
  zero_stage: 2
distributed_type: DEEPSPEED
downcast_bf16: 'no'
num_machines: 2
num_processes: 2
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD, "have a deepspeed_config with a zero_stage, got nothing"),
        (ZERO.replace("1}", "3}"), "have zero_stage 0, 1 or 2; where the base model does not fit"),
        (ZERO.replace("1}", "true}"), "have zero_stage 0, 1 or 2"),
        (ZERO.replace("1}", "[1]}"), "have zero_stage 0, 1 or 2"),
        (ZERO.replace("1}", "2, offload_optimizer_device: cpu}"), "have offload_optimizer_device none"),
        (ZERO.replace("1}", "2, offload_optimizer_nvme_path: /nvme}"), "have offload_optimizer_nvme_path unset"),
        (ZERO.replace("1}", "2, offload_param_device: cpu}"), "offload_param_device none; where the base model does"),
        (ZERO.replace("1}", "2, gradient_accumulation_steps: 4}"), "gradient_accumulation_steps = 1 as gradient_acc"),
        (ZERO.replace("1}", "2, zero3_init_flag: 3}"), "have zero3_init_flag true or false"),
        (ZERO.replace("1}", "2, deepspeed_multinode_launcher: pdsh}"), "have deepspeed_multinode_launcher standard"),
        (ZERO.replace("1}", "2, deepspeed_hostfile: /hosts}"), "have deepspeed_hostfile unset"),
        (ZERO.replace("1}", "2, enable_msamp: true}"), "have enable_msamp unset: it is none of DeepSpeed's"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused(config, written, installed, text, words):
    (problem,) = launch_problems(config(num_processes=2, accelerate_config_path=written(text)))
    assert problem.option == "accelerate_config_path"
    assert words in problem.message


@pytest.mark.parametrize("text", [ZERO, ZERO_WRITTEN])
def test_a_file_that_can_be_honoured_passes(config, written, installed, text):
    assert launch_problems(config(num_processes=2, accelerate_config_path=written(text))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_processes": 1}, "num_processes = 1; set num_processes to 2 or more"),
        ({"mixed_precision": "fp16"}, "mixed_precision = fp16; use bf16 or no"),
        ({"optimizer": "prodigy"}, "optimizer = prodigy; take adamw"),
        ({"train_text_encoder": True}, "train_text_encoder = true; set it to false"),
    ],
)
def test_deepspeed_has_its_bounds_but_for_stage_0(config, written, installed, changes, words):
    text = ZERO.replace("num_processes: 2", "")
    (problem,) = launch_problems(config(**{"num_processes": 2, **changes}, accelerate_config_path=written(text)))
    assert words in problem.message
    path = written(text.replace("1}", "0}"))
    assert launch_problems(config(**{"num_processes": 2, **changes}, accelerate_config_path=path)) == []


def test_what_is_not_installed_is_said_before_the_run_is_made(config, written, monkeypatch):
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: None)
    (problem,) = launch_problems(config(num_processes=2, accelerate_config_path=written(ZERO)))
    assert 'not installed; pip install "rollout-workbench[deepspeed]" adds it' in problem.message


def test_the_stage_of_deepspeed_reaches_the_training():
    table = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 1}}
    assert zero_stage_of(table) == 1
    assert zero_stage_of({**table, "deepspeed_config": {}}) == 2  # as accelerate's plugin takes it
    assert zero_stage_of({"distributed_type": "NO"}) == 0
