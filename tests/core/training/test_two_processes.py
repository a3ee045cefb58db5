"""Two real processes at the same global batch train what one process trains, however different their rollouts are."""

from dataclasses import fields
from pathlib import Path

import pytest
from several_processes import IN_PROPORTION, apart, launched
from tiny_runs import ROLLOUT, adapter, metrics, run

from core.runs.folder import RunFolder
from core.runs.records import StepRecord
from core.runs.status import read_status

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "scheduled_sampling_"
OWN = {each.name for each in fields(StepRecord)} - {"rollout_calls", "seconds", "elapsed", "memory_mb"}
"""What a step's record says of the training, however many processes shared it."""


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
    given = {**ROLLOUT, f"{PREFIX}probability": 0.6, **IN_PROPORTION, **changes}
    one = RunFolder.create(runs_dir, "one", config(base, train_batch_size=4, **given))
    run(one)
    two = RunFolder.create(runs_dir, "two", config(base, train_batch_size=2, num_processes=2, **given))
    launched(two)
    assert read_status(two).phase == "done"
    assert any(line["max_offset"] > 0 for line in metrics(one))
    for line, other in zip(metrics(one), metrics(two), strict=True):
        unknown = {name for name in OWN if line[name] is None}
        assert unknown == {name for name in OWN if other[name] is None}
        for name in OWN - unknown:
            assert other[name] == pytest.approx(line[name], rel=1e-3, abs=1e-5), name
    assert apart(adapter(one), adapter(two)) < 1e-4
