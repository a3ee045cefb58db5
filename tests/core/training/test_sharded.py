"""Two real processes, each with half of the base model, train what one process with all of it trains."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from several_processes import IN_PROPORTION, apart, launched
from tiny_runs import ROLLOUT, adapter, metrics, run
from torch import distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from core.config.sharding import Sharding
from core.errors import ConfigError
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.status import read_status
from core.training.adapter import add_adapter
from core.training.sharding import Lockstep, shard

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "scheduled_sampling_"
FILE = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
num_processes: 2
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_cpu_ram_efficient_loading: false
  fsdp_state_dict_type: FULL_STATE_DICT
"""
FILE_1 = """\
distributed_type: FSDP
num_processes: 2
fsdp_config:
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_backward_prefetch: BACKWARD_PRE
  fsdp_sharding_strategy: SHARD_GRAD_OP
  fsdp_sync_module_states: true
  fsdp_use_orig_params: false
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "fsdp.yaml").write_text(FILE)
    return str(tmp_path / "fsdp.yaml")


@pytest.fixture
def group():
    """A group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def network(bases):
    network = UNet2DConditionModel.from_pretrained(bases["v_prediction"] / "unet").requires_grad_(False)
    add_adapter(network, targets=["to_q"], rank=2, alpha=2.0, dropout=0.0, seed=0)
    return network


def parts(network) -> set[str]:
    return {name for name, part in network.named_modules() if isinstance(part, FSDPModule)}


def named(network, *classes: str) -> set[str]:
    return {name for name, part in network.named_modules() if type(part).__name__ in classes}


@pytest.mark.parametrize(
    ("sharding", "classes"),
    [
        (Sharding("NO_WRAP"), ()),
        (
            Sharding("TRANSFORMER_BASED_WRAP"),  # diffusers' own names for this network
            ("BasicTransformerBlock", "ResnetBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        (Sharding("TRANSFORMER_BASED_WRAP", ("ResnetBlock2D",)), ("ResnetBlock2D",)),
    ],
)
def test_the_parts_that_the_file_names_are_gathered_at_a_time(group, network, sharding, classes):
    expected = named(network, *classes)
    shard(network, sharding, torch.device("cpu"))
    assert parts(network) == expected | {""}


def test_a_size_bounds_the_parts_from_below(group, network):
    large = {
        name
        for name, part in network.named_modules()
        if type(part).__name__ != "ModuleList"
        and sum(each.numel() for each in part.parameters() if not each.requires_grad) > 1000
    }
    assert 2 < len(large) < len(list(network.modules()))
    shard(network, Sharding("SIZE_BASED_WRAP", min_num_params=1000), torch.device("cpu"))
    assert parts(network) == large


def test_the_adapter_stays_whole_and_the_base_does_not(group, network):
    shard(network, Sharding("TRANSFORMER_BASED_WRAP"), torch.device("cpu"))
    assert all(isinstance(each, DTensor) != each.requires_grad for each in network.parameters())


def test_a_class_that_the_network_has_not_is_refused(group, network):
    with pytest.raises(ConfigError, match="classes that the network has, got FluxTransformerBlock"):
        shard(network, Sharding("TRANSFORMER_BASED_WRAP", ("FluxTransformerBlock",)), torch.device("cpu"))


def test_joining_the_others_changes_nothing(monkeypatch):
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.tensor([1.0, 2.0, 3.0])
    joined = []

    def call():
        joined.append(torch.is_grad_enabled())
        return weight * torch.rand(3)

    wishes = iter([2, 1, 2, 0])  # of a process that looks, trains, looks, and is done

    def reduce(said, operation):
        assert operation is dist.ReduceOp.MAX
        said.fill_(next(wishes))

    monkeypatch.setattr(dist, "all_reduce", reduce)
    before = torch.get_rng_state()
    Lockstep(torch.nn.Identity(), call, torch.device("cpu")).wait()
    assert joined == [False, True, False]
    assert torch.equal(torch.get_rng_state(), before)
    assert weight.grad.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG"])
def test_what_a_launcher_of_the_users_says_of_sharding_is_refused(trained, monkeypatch, kind):
    monkeypatch.setenv(f"ACCELERATE_USE_{kind}", "true")
    with pytest.raises(ConfigError, match=f"accelerate_config_path must say {kind}"):
        trained()


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("flow_matching", {f"{PREFIX}mode": "visited"}),
        pytest.param(
            "v_prediction", {f"{PREFIX}mode": "visited", "gradient_accumulation_steps": 2}, marks=pytest.mark.faults
        ),
        pytest.param("flow_matching", {}, marks=pytest.mark.faults),
        pytest.param("v_prediction", {f"{PREFIX}guidance_scale": 2.0}, marks=pytest.mark.faults),
        pytest.param("v_prediction", {"gradient_checkpointing": True}, marks=pytest.mark.faults),
    ],
    ids=["visited-reflexflow", "visited", "fresh-reflexflow", "fresh-guidance", "checkpointing"],
)
def test_two_processes_with_half_of_the_base_each_train_what_one_does(
    one_thread, config, runs_dir, file, base, changes
):
    given = {**ROLLOUT, f"{PREFIX}probability": 0.6, "validation_prompts": ["a sks cat"], "drift_pairs": 2,
             "drift_samples": 2, **IN_PROPORTION, **changes}  # fmt: skip
    one = RunFolder.create(runs_dir, "one", config(base, train_batch_size=4, **given))
    run(one)
    shared = {"train_batch_size": 2, "num_processes": 2, "accelerate_config_path": file}
    two = RunFolder.create(runs_dir, "two", config(base, **shared, **given))
    launched(two)
    assert read_status(two).phase == "done"
    assert {line["items"] for line in metrics(one)} == {line["items"] for line in metrics(two)}
    assert any(line["max_offset"] > 0 for line in metrics(one))
    (said,) = [row for row in journal.read_all(two.events_path) if row["kind"] == "sharding"]
    assert said["own"] < 0.6 * said["whole"]
    norms = [[line["grad_norm"] for line in metrics(folder)] for folder in (one, two)]
    assert norms[0] == [pytest.approx(norm, rel=1e-4) for norm in norms[1]]  # clipping would hide a factor
    assert apart(adapter(one), adapter(two)) < 1e-4
    probes = [journal.read_all(folder.drift_path) for folder in (one, two)]
    assert [row["m1"] for row in probes[0]] == [pytest.approx(row["m1"], rel=1e-3) for row in probes[1]]


@pytest.mark.faults
def test_a_base_in_half_precision_is_split_as_one_in_full(one_thread, config, runs_dir, file):
    given = {**ROLLOUT, **IN_PROPORTION, "mixed_precision": "bf16", "train_batch_size": 2, "num_processes": 2}
    whole = RunFolder.create(runs_dir, "whole", config(**given))
    split = RunFolder.create(runs_dir, "split", config(**given, accelerate_config_path=file))
    for folder in (whole, split):
        launched(folder)
    assert apart(adapter(whole), adapter(split)) < 0.02  # where weights lie turns last bits, which bfloat16 makes large


@pytest.mark.faults
def test_a_file_of_version_1_is_run_by_version_2(one_thread, config, runs_dir, tmp_path):
    (tmp_path / "fsdp_1.yaml").write_text(FILE_1)
    given = {**ROLLOUT, **IN_PROPORTION, f"{PREFIX}mode": "visited"}
    one = RunFolder.create(runs_dir, "one", config(train_batch_size=4, **given))
    run(one)
    shared = {"train_batch_size": 2, "num_processes": 2, "accelerate_config_path": str(tmp_path / "fsdp_1.yaml")}
    two = RunFolder.create(runs_dir, "two", config(**shared, **given))
    launched(two)
    assert apart(adapter(one), adapter(two)) < 1e-4
    (said,) = [row for row in journal.read_all(two.events_path) if row["kind"] == "sharding"]
    assert said["own"] < 0.6 * said["whole"]
    assert "FSDP 1 is run by FSDP 2" in said["text"]


@pytest.mark.faults
def test_a_checkpoint_belongs_to_no_number_of_processes(one_thread, config, runs_dir, file):
    """Half of the steps are taken by one process and half by two that share the base, in either order."""
    given = {**ROLLOUT, **IN_PROPORTION, "max_train_steps": 4,
             "checkpointing_steps": 2}  # fmt: skip
    one = RunFolder.create(runs_dir, "one", config(train_batch_size=4, **given))
    run(one)
    shared = {"train_batch_size": 2, "num_processes": 2, "accelerate_config_path": file}
    two = RunFolder.create(runs_dir, "two", config(**shared, **given))
    launched(two)
    straight = adapter(one)
    for folder in (one, two):
        shutil.rmtree(folder.adapter_dir)
        shutil.rmtree(folder.checkpoints_dir / "step-000004")
    one.checkpoints_dir.rename(runs_dir / "kept")
    two.checkpoints_dir.rename(one.checkpoints_dir)
    (runs_dir / "kept").rename(two.checkpoints_dir)
    run(one, resume=True)
    launched(two, "resume")
    assert apart(straight, adapter(one)) < 1e-4
    assert apart(straight, adapter(two)) < 1e-4
