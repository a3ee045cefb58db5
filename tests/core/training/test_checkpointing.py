"""Gradient checkpointing lowers the peak of a step and leaves its gradients, with rollout and in both modes."""

import pytest
import torch
from tiny_runs import ROLLOUT, alone, reset_accelerate

from core.bench.memory import peak_bytes
from core.bench.network import demo_loop

MODES = {"plain": {}, "fresh": ROLLOUT, "visited": {**ROLLOUT, "scheduled_sampling_mode": "visited"}}


@pytest.mark.parametrize(
    "mode", ["plain", *(pytest.param(name, marks=pytest.mark.faults) for name in ("fresh", "visited"))]
)
def test_the_peak_falls_and_the_gradients_stay(mode, tmp_path):
    peaks, found = [], []
    options = {"train_batch_size": 4, "scheduled_sampling_max_step_offset": 0, "rank": 4, "lora_alpha": 4.0}
    with alone():
        for recomputes in (False, True):
            reset_accelerate()
            changes = {**options, **MODES[mode], "gradient_checkpointing": recomputes}
            loop = demo_loop(tmp_path / str(recomputes), "demo", **changes)
            loop.parts.optimizer.zero_grad = lambda *_, **__: None  # the gradients are looked at
            peaks.append(peak_bytes(loop.take_step))
            trained = [p for p in loop.parts.family.network.parameters() if p.requires_grad]
            found.append([p.grad.clone() for p in trained])
    assert peaks[1] < 0.7 * peaks[0]
    for plain, again in zip(*found, strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-6)
