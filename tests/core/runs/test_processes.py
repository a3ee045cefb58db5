"""Which command trains a run of several processes."""

import sys

import pytest
from accelerate.commands.config.config_args import ClusterConfig
from several_processes import installed, written
from tiny_runs import bases, config, pictures, runs_dir

from core.config.accelerate_file import LEFT_OUT, OF_KINDS, ONLY, PASSED
from core.config.launching import launch_problems
from core.runs.failure import read_failure, write_failure
from core.runs.folder import RunFolder
from core.runs.processes import MARK, is_launched, launch_command, launch_environment
from core.runs.status import Status, derive_state, write_status

__all__ = ["bases", "config", "installed", "pictures", "runs_dir", "written"]

GOOD = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"
FSDP = GOOD.replace("MULTI_GPU", "FSDP") + "fsdp_config: {fsdp_version: 2}\n"
ZERO = GOOD.replace("MULTI_GPU", "DEEPSPEED") + "deepspeed_config: {zero_stage: 1}\n"
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
        (GOOD.replace("MULTI_GPU", "MEGATRON_LM"), "NO, MULTI_CPU or MULTI_GPU, got MEGATRON_LM; FSDP 2 shards"),
        (GOOD.replace("LOCAL_MACHINE", "AMAZON_SAGEMAKER"), "have compute_environment = LOCAL_MACHINE"),
        (GOOD + "main_training_function: mine\n", "have main_training_function = main, got 'mine'"),
        (GOOD + "dynamo_config: {dynamo_backend: INDUCTOR}\n", "have no dynamo_config"),
        (GOOD + "dynamo_backend: INDUCTOR\n", "have no dynamo_backend"),
        (GOOD + "fp8_config: {backend: TE}\n", "have no fp8_config"),
        (GOOD + "deepspeed_config: {zero_stage: 2}\n", "distributed_type MULTI_GPU; say DEEPSPEED"),
        (
            ZERO.replace("1}", "2, gradient_clipping: 0.5}"),
            "gradient_clipping = 1.0 as max_grad_norm, or none, got 0.5",
        ),
        (
            ZERO.replace("1}", "2, deepspeed_config_file: ds.json}"),
            "have deepspeed_config_file unset; write zero_stage",
        ),
        (GOOD + "megatron_lm_config: {megatron_lm_tp_degree: 2}\n", "have no megatron_lm_config"),
        (GOOD + "parallelism_config: {parallelism_config_tp_size: 2}\n", "have no parallelism_config"),
        (GOOD + "mpirun_config: {mpirun_ccl: '1'}\n", "have no mpirun_config"),
        (GOOD + "downcast_bf16: 'yes'\n", "have no downcast_bf16"),
        (GOOD + "tpu_name: mine\n", "have no tpu_name, got 'mine': TPUs are not supported"),
        (GOOD + "commands: [ls]\n", "have no commands"),
        (GOOD + "gradient_acumulation: 2\n", "have fields of accelerate's only, got 'gradient_acumulation'"),
        (GOOD + "fsdp_config: {fsdp_version: 2}\n", "have no fsdp_config with distributed_type MULTI_GPU; say FSDP"),
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


@pytest.mark.parametrize("text", [WRITTEN, WRITTEN.replace("use_cpu: false", "use_cpu: true"), FSDP, ZERO])
def test_a_file_that_can_be_honoured_passes(config, written, installed, text):
    assert launch_problems(config(num_processes=2, accelerate_config_path=written(text))) == []


@pytest.mark.parametrize("text", [FSDP, ZERO], ids=["FSDP", "DeepSpeed"])
def test_the_training_splits_and_not_the_launcher(config, runs_dir, written, installed, text):
    chosen = config(num_processes=2, accelerate_config_path=written(text))
    assert "--multi_gpu" in launch_command(RunFolder.create(runs_dir, "run", chosen), "run")


@pytest.mark.parametrize(("answer", "told"), [("true", "true"), ("false", None)])
def test_a_file_that_keeps_to_the_cpu_is_heard_by_all_processes(config, runs_dir, written, monkeypatch, answer, told):
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    chosen = config(num_processes=2, accelerate_config_path=written(f"{GOOD}use_cpu: {answer}\n"))
    environment = launch_environment(RunFolder.create(runs_dir, "run", chosen))
    assert environment.get("ACCELERATE_USE_CPU") == told
    assert environment[MARK] == "1"


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
