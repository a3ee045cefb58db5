"""The forecast of memory, told from shapes, is near what a step of the embedded base holds, and changes nothing."""

import json
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import alone, reset_accelerate, same_bits

from core.bench.memory import ROLLOUT, forecast_and_peak, peak_bytes
from core.bench.network import demo_loop
from core.noise.denoiser import evaluation_mode
from core.rollout.cost import Calibration
from core.runs.measurement import Facts, Measurement
from core.runs.memory import Memory
from core.training.memory import Ledger, forecast_memory

KIBIBYTE = 1024
PLAIN = {"scheduled_sampling_max_step_offset": 0}


def loop_of(tmp_path, **changes):
    reset_accelerate()
    return demo_loop(tmp_path, **{"train_batch_size": 4, **PLAIN, **changes})


VISITED = {**ROLLOUT, "scheduled_sampling_mode": "visited"}


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True, "gradient_accumulation_steps": 2},
        {"gradient_checkpointing": True, "lora_targets": "all", "train_batch_size": 2, "rank": 64},
        pytest.param({}, marks=pytest.mark.faults),
        pytest.param({"gradient_checkpointing": True, **VISITED}, marks=pytest.mark.faults),
        pytest.param({**ROLLOUT, "scheduled_sampling_guidance_scale": 3.0}, marks=pytest.mark.faults),
        pytest.param({"mixed_precision": "bf16"}, marks=pytest.mark.faults),
    ],
    ids=str,
)
def test_the_forecast_is_within_an_eighth_of_the_peak_on_the_embedded_base(changes, tmp_path):
    with alone():
        reset_accelerate()
        told, peak = forecast_and_peak("demo", steps=2, **{"train_batch_size": 4, **PLAIN, **changes})
    assert told == pytest.approx(peak, rel=0.125)


def test_the_forecast_of_drawing_is_near_its_peak(tmp_path):
    pictures = 6
    with alone():
        loop = loop_of(tmp_path)
        found, family = forecast_memory(loop.parts), loop.parts.family
        size, drawn = loop.parts.config.data.resolution, {"steps": 2, "guidance": 2.0, "on_step": int}
        with evaluation_mode(family.network):
            peak = peak_bytes(lambda: family.sample(["a"] * pictures, range(pictures), size=size, **drawn))
    assert found.call + found.item * pictures * found.guided == pytest.approx(peak, rel=0.125)


def test_shapes_lie_where_it_is_trained(tmp_path):
    device, seen = torch.device("cuda:0"), []  # shapes alone lie on it: none has to be there

    def predict(network, *given):
        seen.extend(each.device for each in given)
        return parts.family.predict(network, *(each.to("cpu") for each in given))

    with alone():
        parts = loop_of(tmp_path).parts
        family = Standing(parts.family, predict=predict)
        accelerator = SimpleNamespace(device=device, autocast=nullcontext)
        assert forecast_memory(replace(parts, family=family, accelerator=accelerator)).picture > 0
    assert set(seen) == {device}


class Standing:
    """Stands for another, but for what is given."""

    def __init__(self, other, **own):
        self.__dict__.update(other=other, **own)

    def __getattr__(self, name):
        return getattr(self.other, name)


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


def test_what_is_settled_counts_no_more_for_the_other_peak():
    ledger = Ledger()
    with ledger:
        first = torch.zeros(KIBIBYTE)
        ledger.settle(first)
        torch.zeros(KIBIBYTE)
    assert (ledger.peak, ledger.peak_unsettled) == (8 * KIBIBYTE, 4 * KIBIBYTE)


def test_a_measurement_keeps_what_was_told():
    memory = Memory(**{each.name: number for number, each in enumerate(fields(Memory))})
    times = Calibration(*(0.1 for _ in fields(Calibration)))
    made = Measurement(Facts("epsilon", 999, (0.0, 999.0)), times, "cpu", 1.0, memory, 10)
    assert Measurement.from_dict(json.loads(json.dumps(asdict(made)))) == made
    with pytest.raises(ValueError, match="again, item must be numbers"):
        Memory.from_dict({**asdict(memory), "again": None, "item": "many"})
