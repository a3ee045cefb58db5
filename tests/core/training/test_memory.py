"""The forecast of memory, told from shapes, is near what a step of the embedded base holds, and changes nothing."""

import json
from dataclasses import asdict, fields

import pytest
import torch
from tiny_runs import alone, reset_accelerate, same_bits

from core.bench.memory import peak_bytes
from core.bench.network import demo_loop
from core.rollout.cost import Calibration
from core.runs.measurement import Facts, Measurement, Memory
from core.training.memory import Ledger, forecast_memory

KIBIBYTE = 1024
PLAIN = {"scheduled_sampling_max_step_offset": 0}


def loop_of(tmp_path, **changes):
    reset_accelerate()
    return demo_loop(tmp_path, **{"train_batch_size": 4, **PLAIN, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True},
        {"lora_targets": "all", "train_batch_size": 2},
        pytest.param({}, marks=pytest.mark.faults),
        pytest.param({"mixed_precision": "bf16"}, marks=pytest.mark.faults),
    ],
    ids=str,
)
def test_the_forecast_is_within_a_quarter_of_the_peak_on_the_embedded_base(changes, tmp_path):
    with alone():
        loop = loop_of(tmp_path, **changes)
        found = forecast_memory(loop.parts)
        loop.take_step()  # makes the optimizer's state
        peak = peak_bytes(loop.take_step)
    assert found.activations + found.gradients == pytest.approx(peak, rel=0.25)


def test_weights_and_states_are_those_that_are_there(tmp_path):
    with alone():
        loop = loop_of(tmp_path, mixed_precision="bf16")
        found = forecast_memory(loop.parts)
        loop.take_step()
    size = {True: 0, False: 0}
    for parameter in loop.parts.family.network.parameters():
        size[parameter.requires_grad] += parameter.numel() * parameter.element_size()
    state = [value for values in loop.parts.optimizer.state.values() for value in values.values()]
    assert found.network == size[False]
    assert found.adapter == found.gradients == size[True]
    assert found.optimizer == pytest.approx(sum(value.numel() * value.element_size() for value in state), rel=0.01)


def test_a_forecast_changes_no_step(tmp_path):
    found = []
    with alone():
        for name in ("with", "without"):
            loop = loop_of(tmp_path / name)
            if name == "with":
                forecast_memory(loop.parts)
            loop.take_step()
            found.append({n: p.detach() for n, p in loop.parts.family.network.named_parameters() if p.requires_grad})
    assert same_bits(*found)


def test_the_ledger_counts_what_lives_at_once_and_no_view_twice():
    ledger = Ledger()
    with ledger:
        first = torch.zeros(KIBIBYTE)
        assert ledger.held == 4 * KIBIBYTE
        view = first.view(32, 32).t()
        assert ledger.held == 4 * KIBIBYTE
        other = view + 1
        del first, view
        torch.zeros(KIBIBYTE)
        assert ledger.held == 4 * KIBIBYTE
        del other
    assert (ledger.held, ledger.peak) == (0, 8 * KIBIBYTE)


def test_a_measurement_keeps_what_was_told():
    memory = Memory(network=1, adapter=2, gradients=3, optimizer=4, activations=5, autoencoder=6, picture=7)
    assert (memory.training, memory.drawing) == (15, 20)
    times = Calibration(*(0.1 for _ in fields(Calibration)))
    made = Measurement(Facts("epsilon", 999, (0.0, 999.0)), times, "cpu", 1.0, memory)
    assert Measurement.from_dict(json.loads(json.dumps(asdict(made)))) == made
