"""Two real processes among which DeepSpeed splits the optimizer's state train what one process trains.

What needs DeepSpeed itself is skipped where it is not installed.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from several_processes import IN_PROPORTION, apart, launched
from tiny_runs import ROLLOUT, adapter, metrics, run

from core.config.deepspeed import MODULE
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.status import read_status

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "scheduled_sampling_"
FILE = """\
compute_environment: LOCAL_MACHINE
distributed_type: DEEPSPEED
num_processes: 2
deepspeed_config:
  zero_stage: {stage}
  gradient_clipping: {clipping}
  offload_optimizer_device: none
  offload_param_device: none
  zero3_init_flag: false
"""
needs_deepspeed = pytest.mark.skipif(find_spec(MODULE) is None, reason="deepspeed is not installed")


def two(tmp_path, runs_dir, config, base, stage, clipping=1.0, **given):
    file = tmp_path / "deepspeed.yaml"
    file.write_text(FILE.format(stage=stage, clipping=clipping))
    shared = {"train_batch_size": 2, "num_processes": 2, "accelerate_config_path": str(file)}
    return RunFolder.create(runs_dir, "two", config(base, **shared, max_grad_norm=clipping, **given))


@needs_deepspeed
@pytest.mark.parametrize(
    ("base", "stage", "changes"),
    [
        ("flow_matching", 1, {f"{PREFIX}mode": "visited"}),
        pytest.param(
            "v_prediction", 2, {f"{PREFIX}mode": "visited", "gradient_accumulation_steps": 2}, marks=pytest.mark.faults
        ),
        pytest.param("flow_matching", 2, {}, marks=pytest.mark.faults),
        pytest.param("v_prediction", 1, {"gradient_checkpointing": True}, marks=pytest.mark.faults),
        pytest.param("v_prediction", 0, {}, marks=pytest.mark.faults),
    ],
    ids=["visited-reflexflow", "visited", "fresh-reflexflow", "checkpointing", "nothing-split"],
)
def test_two_processes_with_half_of_the_state_each_train_what_one_does(
    one_thread, config, runs_dir, tmp_path, base, stage, changes
):
    given = {**ROLLOUT, f"{PREFIX}probability": 0.6, "drift_pairs": 2, **IN_PROPORTION, **changes}
    clipping = 0.01  # less than any gradient here
    one = RunFolder.create(runs_dir, "one", config(base, train_batch_size=4, max_grad_norm=clipping, **given))
    run(one)
    shared = two(tmp_path, runs_dir, config, base, stage, clipping, **given)
    launched(shared)
    assert read_status(shared).phase == "done"
    assert {line["items"] for line in metrics(one)} == {line["items"] for line in metrics(shared)}
    assert any(line["max_offset"] > 0 for line in metrics(one))
    assert min(line["grad_norm"] for line in metrics(one)) > clipping
    norms = [[line["grad_norm"] for line in metrics(folder)] for folder in (one, shared)]
    assert norms[0] == [pytest.approx(norm, rel=1e-4) for norm in norms[1]]
    assert apart(adapter(one), adapter(shared)) < 1e-4
    said = [row for row in journal.read_all(shared.events_path) if row["kind"] == "sharding"]
    assert [row["own"] < 0.51 * row["whole"] for row in said] == ([True] if stage > 0 else [])


@needs_deepspeed
@pytest.mark.faults
def test_a_checkpoint_belongs_to_no_number_of_processes(one_thread, config, runs_dir, tmp_path):
    """Half of the steps are taken by one process and half by two, in either order; and a resumed run is the same."""
    given = {**ROLLOUT, **IN_PROPORTION, "max_train_steps": 4, "checkpointing_steps": 2}
    one = RunFolder.create(runs_dir, "one", config(train_batch_size=4, **given))
    run(one)
    shared = two(tmp_path, runs_dir, config, "v_prediction", 1, **given)
    launched(shared)
    straight, together = adapter(one), adapter(shared)
    for folder in (one, shared):
        shutil.rmtree(folder.adapter_dir)
        shutil.rmtree(folder.checkpoints_dir / "step-000004")
    shutil.copytree(shared.checkpoints_dir, runs_dir / "kept")
    launched(shared, "resume")
    assert apart(together, adapter(shared)) == 0.0
    shutil.rmtree(shared.adapter_dir)
    shutil.rmtree(shared.checkpoints_dir)
    one.checkpoints_dir.rename(shared.checkpoints_dir)
    (runs_dir / "kept").rename(one.checkpoints_dir)
    run(one, resume=True)
    launched(shared, "resume")
    assert apart(straight, adapter(one)) < 1e-4
    assert apart(straight, adapter(shared)) < 1e-4
