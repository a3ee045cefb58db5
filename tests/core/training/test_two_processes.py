"""Two real processes at the same global batch train what one process trains, however different their rollouts are."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from tiny_runs import ROLLOUT, adapter, metrics, run

from core.runs.folder import RunFolder
from core.runs.records import StepRecord
from core.runs.status import read_status

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "scheduled_sampling_"
OWN = {each.name for each in fields(StepRecord)} - {"rollout_calls", "seconds", "elapsed", "memory_mb"}
"""What a step's record says of the training, however many processes shared it."""


def in_two_processes(folder: RunFolder) -> None:
    """A process that waits for ever for the other one ends the test."""
    command = [sys.executable, "-m", "core", "run", str(folder.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        pytest.param(
            "v_prediction", {f"{PREFIX}mode": "visited", "gradient_accumulation_steps": 2}, marks=pytest.mark.faults
        ),
        ("flow_matching", {f"{PREFIX}mode": "visited"}),
        pytest.param("flow_matching", {}, marks=pytest.mark.faults),
        pytest.param("v_prediction", {f"{PREFIX}guidance_scale": 2.0}, marks=pytest.mark.faults),
        pytest.param(
            "v_prediction", {"with_prior_preservation": True, "class_prompt": "a cat"}, marks=pytest.mark.faults
        ),
    ],
    ids=["visited", "visited-reflexflow", "fresh-reflexflow", "fresh-guidance", "class-pictures"],
)
def test_two_processes_train_what_one_does(one_thread, config, runs_dir, base, changes):
    # with a large epsilon a step is proportional to its gradient: Adam would blow the rounding of tiny ones up
    in_proportion = {"adam_epsilon": 1.0, "adam_weight_decay": 0.0, "learning_rate": 0.1}
    given = {**ROLLOUT, f"{PREFIX}probability": 0.6, **in_proportion, **changes}
    one = RunFolder.create(runs_dir, "one", config(base, train_batch_size=4, **given))
    run(one)
    two = RunFolder.create(runs_dir, "two", config(base, train_batch_size=2, num_processes=2, **given))
    in_two_processes(two)
    assert read_status(two).phase == "done"
    assert any(line["max_offset"] > 0 for line in metrics(one))
    for line, other in zip(metrics(one), metrics(two), strict=True):
        unknown = {name for name in OWN if line[name] is None}
        assert unknown == {name for name in OWN if other[name] is None}
        for name in OWN - unknown:
            assert other[name] == pytest.approx(line[name], rel=1e-3, abs=1e-5), name
    alone, together = adapter(one), adapter(two)
    moved = max(tensor.abs().max().item() for name, tensor in alone.items() if "lora_B" in name)  # from zero
    apart = max((together[name] - tensor).abs().max().item() for name, tensor in alone.items())
    assert apart < 1e-4 * moved
