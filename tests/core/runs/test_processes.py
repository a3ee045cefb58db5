"""Which command trains a run of several processes."""

import sys

import pytest
from accelerate.commands.config.config_args import ClusterConfig
from tiny_runs import bases, config, pictures, runs_dir

from core.config import deepspeed
from core.config.accelerate_file import LEFT_OUT, OF_KINDS, ONLY, PASSED
from core.config.deepspeed import zero_stage_of
from core.config.launching import launch_problems
from core.config.sharding import Sharding, sharding_of
from core.runs.failure import read_failure, write_failure
from core.runs.folder import RunFolder
from core.runs.processes import MARK, is_launched, launch_command, launch_environment
from core.runs.status import Status, derive_state, write_status

__all__ = ["bases", "config", "pictures", "runs_dir"]

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"
FSDP = GOOD.replace("MULTI_GPU", "FSDP") + "fsdp_config: {fsdp_version: 2}\n"
ZERO = GOOD.replace("MULTI_GPU", "DEEPSPEED") + "deepspeed_config: {zero_stage: 1}\n"
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
WRITTEN = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: MULTI_GPU
downcast_bf16: 'no'
dynamo_config: {}
enable_cpu_affinity: false
gpu_ids: 0,1
machine_rank: 0
main_training_function: main
mixed_precision: 'no'
num_machines: 1
num_processes: 2
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""
"""What accelerate's own questions lead to."""


@pytest.fixture(autouse=True)
def unlaunched(monkeypatch):
    for name in ("RANK", MARK):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> str:
        (tmp_path / "accelerate.yaml").write_text(text)
        return str(tmp_path / "accelerate.yaml")

    return write


@pytest.fixture
def installed(monkeypatch):
    """As if DeepSpeed were there."""
    monkeypatch.setattr(deepspeed, "find_spec", lambda name: object())


def following(command: list[str], word: str) -> str:
    return command[command.index(word) + 1]


def test_one_process_needs_no_launcher(config, runs_dir):
    assert launch_command(RunFolder.create(runs_dir, "run", config()), "run") is None


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_several_processes_are_the_same_command_under_accelerate(config, runs_dir, verb):
    folder = RunFolder.create(runs_dir, "run", config(num_processes=3))
    command = launch_command(folder, verb)
    assert command[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert command[-4:] == ["--module", "core", verb, str(folder.path)]
    assert "--multi_gpu" in command
    assert following(command, "--num_processes") == "3"


@pytest.mark.parametrize("name", ["RANK", MARK])
def test_a_launched_process_launches_nothing(config, runs_dir, monkeypatch, name):
    folder = RunFolder.create(runs_dir, "run", config(num_processes=3))
    monkeypatch.setenv(name, "1")
    assert is_launched()
    assert launch_command(folder, "run") is None


def test_accelerates_own_file_is_frozen_into_the_run(config, runs_dir, written):
    path = written(GOOD)
    chosen = config(num_processes=2, accelerate_config_path=path)
    assert launch_problems(chosen) == []
    folder = RunFolder.create(runs_dir, "run", chosen)
    written("another")
    assert folder.accelerate_path.read_text() == GOOD
    command = launch_command(folder, "run")
    assert following(command, "--config_file") == str(folder.accelerate_path)
    assert "--multi_gpu" not in command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("MULTI_GPU", "FSDP"), "have an fsdp_config with fsdp_version 2, got nothing"),
        (GOOD.replace("MULTI_GPU", "MEGATRON_LM"), "NO, MULTI_CPU or MULTI_GPU, got MEGATRON_LM; FSDP 2 shards"),
        (GOOD.replace("MULTI_GPU", "DEEPSPEED"), "have a deepspeed_config with a zero_stage, got nothing"),
        (GOOD.replace("LOCAL_MACHINE", "AMAZON_SAGEMAKER"), "have compute_environment = LOCAL_MACHINE"),
        (GOOD + "main_training_function: mine\n", "have main_training_function = main, got 'mine'"),
        (GOOD + "dynamo_config: {dynamo_backend: INDUCTOR}\n", "have no dynamo_config"),
        (GOOD + "dynamo_backend: INDUCTOR\n", "have no dynamo_backend"),
        (GOOD + "fp8_config: {backend: TE}\n", "have no fp8_config"),
        (GOOD + "deepspeed_config: {zero_stage: 2}\n", "distributed_type MULTI_GPU; say DEEPSPEED"),
        (ZERO.replace("1}", "3}"), "have zero_stage 0, 1 or 2; where the base model does not fit"),
        (ZERO.replace("1}", "true}"), "have zero_stage 0, 1 or 2"),
        (ZERO.replace("1}", "2, offload_optimizer_device: cpu}"), "have offload_optimizer_device none"),
        (ZERO.replace("1}", "2, offload_optimizer_nvme_path: /nvme}"), "have offload_optimizer_nvme_path unset"),
        (ZERO.replace("1}", "2, offload_param_device: cpu}"), "offload_param_device none; where the base model does"),
        (ZERO.replace("1}", "2, gradient_accumulation_steps: 4}"), "gradient_accumulation_steps = 1 as gradient_acc"),
        (
            ZERO.replace("1}", "2, gradient_clipping: 0.5}"),
            "gradient_clipping = 1.0 as max_grad_norm, or none, got 0.5",
        ),
        (ZERO.replace("1}", "2, zero3_init_flag: 3}"), "have zero3_init_flag true or false"),
        (
            ZERO.replace("1}", "2, deepspeed_config_file: ds.json}"),
            "have deepspeed_config_file unset; write zero_stage",
        ),
        (ZERO.replace("1}", "2, deepspeed_multinode_launcher: pdsh}"), "have deepspeed_multinode_launcher standard"),
        (ZERO.replace("1}", "2, deepspeed_hostfile: /hosts}"), "have deepspeed_hostfile unset"),
        (ZERO.replace("1}", "2, enable_msamp: true}"), "have enable_msamp unset: it is none of DeepSpeed's"),
        (GOOD + "megatron_lm_config: {megatron_lm_tp_degree: 2}\n", "have no megatron_lm_config"),
        (GOOD + "parallelism_config: {parallelism_config_tp_size: 2}\n", "have no parallelism_config"),
        (GOOD + "mpirun_config: {mpirun_ccl: '1'}\n", "have no mpirun_config"),
        (GOOD + "downcast_bf16: 'yes'\n", "have no downcast_bf16"),
        (GOOD + "tpu_name: mine\n", "have no tpu_name, got 'mine': TPUs are not supported"),
        (GOOD + "commands: [ls]\n", "have no commands"),
        (GOOD + "gradient_acumulation: 2\n", "have fields of accelerate's only, got 'gradient_acumulation'"),
        (GOOD + "fsdp_config: {fsdp_version: 2}\n", "have no fsdp_config with distributed_type MULTI_GPU; say FSDP"),
        (FSDP.replace("2}", "1}"), "have fsdp_version = 2, got 1"),
        (FSDP.replace("2}", "2, fsdp_offload_params: true}"), "have fsdp_offload_params false"),
        (FSDP.replace("2}", "2, fsdp_cpu_ram_efficient_loading: true}"), "have fsdp_cpu_ram_efficient_loading false"),
        (FSDP.replace("2}", "2, activation_checkpointing: true}"), "false; set gradient_checkpointing instead"),
        (FSDP.replace("2}", "2, fsdp_state_dict_type: SHARDED_STATE_DICT}"), "FULL_STATE_DICT: checkpoints are whole"),
        (FSDP.replace("2}", "2, fsdp_auto_wrap_policy: ALL}"), "have fsdp_auto_wrap_policy one of"),
        (FSDP.replace("2}", "2, fsdp_min_num_params: -1}"), "have fsdp_min_num_params a whole number from 0"),
        (FSDP.replace("2}", "2, fsdp_reshard_after_forward: FULL_SHARD}"), "reshard_after_forward true or false"),
        (FSDP.replace("2}", "2, fsdp_transformer_layer_cls_to_wrap: 3}"), "class names with commas between"),
        (FSDP.replace("2}", "2, fsdp_use_orig_params: true}"), "have no fsdp_use_orig_params"),
        (GOOD.replace("num_processes: 2", "num_processes: 4"), "num_processes = 2 as the option, or -1, got 4"),
        (GOOD + "mixed_precision: fp8\n", "mixed_precision = no as the option"),
        ("- a list\n", "it has no distributed_type"),
        ("{", "it is no YAML"),
        (None, "must be a readable file, got an error: no such file"),
    ],
)
def test_a_file_that_cannot_be_honoured_is_refused(config, written, installed, tmp_path, text, words):
    path = str(tmp_path / "missing.yaml") if text is None else written(text)
    (problem,) = launch_problems(config(num_processes=2, accelerate_config_path=path))
    assert problem.option == "accelerate_config_path"
    assert words in problem.message


def test_all_that_is_wrong_with_the_file_is_said_at_once(config, written):
    text = GOOD.replace("MULTI_GPU", "DEEPSPEED") + "mixed_precision: bf16\n"
    assert len(launch_problems(config(num_processes=3, accelerate_config_path=written(text)))) == 3


def test_a_bare_no_in_yaml_is_the_precision_no(config, written):
    path = written(GOOD + "mixed_precision: no\n")
    assert launch_problems(config(num_processes=2, accelerate_config_path=path)) == []


def test_no_field_of_accelerates_is_overlooked():
    assert set(ClusterConfig.__dataclass_fields__) <= {*PASSED, *ONLY, *LEFT_OUT, *OF_KINDS.values()}


@pytest.mark.parametrize(
    "text", [WRITTEN, WRITTEN.replace("use_cpu: false", "use_cpu: true"), FSDP, ZERO, ZERO_WRITTEN]
)
def test_a_file_that_can_be_honoured_passes(config, written, installed, text):
    assert launch_problems(config(num_processes=2, accelerate_config_path=written(text))) == []


@pytest.mark.parametrize("text", [FSDP, ZERO], ids=["FSDP", "DeepSpeed"])
def test_the_training_splits_and_not_the_launcher(config, runs_dir, written, installed, text):
    chosen = config(num_processes=2, accelerate_config_path=written(text))
    assert "--multi_gpu" in launch_command(RunFolder.create(runs_dir, "run", chosen), "run")


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


@pytest.mark.parametrize(("answer", "told"), [("true", "true"), ("false", None)])
def test_a_file_that_keeps_to_the_cpu_is_heard_by_all_processes(config, runs_dir, written, monkeypatch, answer, told):
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    chosen = config(num_processes=2, accelerate_config_path=written(f"{GOOD}use_cpu: {answer}\n"))
    environment = launch_environment(RunFolder.create(runs_dir, "run", chosen))
    assert environment.get("ACCELERATE_USE_CPU") == told
    assert environment[MARK] == "1"


def test_the_fields_of_fsdp_reach_the_training():
    fields = {"fsdp_version": 2, "auto_wrap_policy": "SIZE_BASED_WRAP", "fsdp_min_num_params": 7}
    table = {"distributed_type": "FSDP", "fsdp_config": {**fields, "fsdp_reshard_after_forward": False}}
    assert sharding_of(table) == Sharding("SIZE_BASED_WRAP", None, 7, False)
    named = {"fsdp_version": 2, "fsdp_transformer_layer_cls_to_wrap": "One, Two"}
    assert sharding_of({**table, "fsdp_config": named}).blocks == ("One", "Two")
    assert sharding_of({"distributed_type": "NO"}) is None


def test_the_stage_of_deepspeed_reaches_the_training():
    table = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 1}}
    assert zero_stage_of(table) == 1
    assert zero_stage_of({**table, "deepspeed_config": {}}) == 2  # as accelerate's plugin takes it
    assert zero_stage_of({"distributed_type": "NO"}) == 0


def test_the_word_of_another_process_is_why_the_run_failed(config, runs_dir):
    folder = RunFolder.create(runs_dir, "run", config())
    write_status(folder, Status(phase="training", step=2, heartbeat=1.0))
    assert derive_state(folder).label == "lost"
    write_failure(folder, 1, "the loss must be a number", "lower learning_rate")
    write_failure(folder, 2, "a later one", None)
    assert read_failure(folder).error == "process 1 failed: the loss must be a number"
    state = derive_state(folder)
    assert (state.label, state.hint) == ("failed", "lower learning_rate")
    assert state.message == "process 1 failed: the loss must be a number"
