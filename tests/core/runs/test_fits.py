"""Peaks of a training's phases against what is free, and what to change where they do not fit."""

from dataclasses import replace

import pytest

from core.config.presets import load_preset
from core.rollout.cost import Calibration
from core.runs import fits
from core.runs.fits import RESERVE, memory_check
from core.runs.measurement import Facts, Measurement
from core.runs.memory import Memory, need_of
from tests.support.fabricated import changed

GIB = 2**30
MEMORY = Memory(
    network=200, adapter=10, gradients=10, optimizer=20, activations=500, again=520, call=5, item=40,
    guided=2, encoder=90, autoencoder=30, picture=100,
)  # fmt: skip
PLAIN = {
    "scheduled_sampling_max_step_offset": 0, "with_prior_preservation": False, "train_batch_size": 4,
    "gradient_accumulation_steps": 1, "validation_prompts": (), "drift_samples": 0, "drift_pairs": 0,
}  # fmt: skip
KEPT = 200 + 10 + 20


@pytest.fixture
def demo():
    return load_preset("demo").config


def need(demo, memory=MEMORY, device="cpu", **changes):
    return need_of(changed(demo, **{**PLAIN, **changes}), memory, device)


def measured(memory, device="cpu", free=None):
    return Measurement(Facts("epsilon", 999, (0.0, 999.0)), Calibration.by_items(), device, 1.0, memory, free)


def large(**changes):
    return replace(Memory(**{name: size * 2**24 for name, size in vars(MEMORY).items()}), guided=2, **changes)


def test_a_plain_step_takes_what_stays_and_one_backward(demo):
    assert need(demo).step == KEPT + 10 + 500
    assert need(demo).drawing == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_accumulation_steps": 2},
        {"scheduled_sampling_max_step_offset": 3, "scheduled_sampling_mode": "visited"},
    ],
)
def test_several_backwards_add_to_gradients_that_are_there(demo, changes):
    assert need(demo, **changes).step == KEPT + 10 + 520


def test_a_rollout_counts_where_its_calls_hold_more_than_a_backward(demo):
    few = replace(MEMORY, activations=50, again=50)
    rolled = {"scheduled_sampling_max_step_offset": 3, "scheduled_sampling_mode": "fresh"}
    assert need(demo, few).step == KEPT + 60
    assert need(demo, few, **rolled).step == KEPT + 5 + 4 * 40
    assert need(demo, few, **rolled, scheduled_sampling_guidance_scale=3.0).step == KEPT + 5 + 8 * 40
    prior = {"with_prior_preservation": True, "class_prompt": "a cat"}
    assert need(demo, few, **rolled, **prior).step == KEPT + 5 + 8 * 40
    assert need(demo, **rolled).step == need(demo).step


def test_drawing_takes_the_largest_of_encoder_decoding_and_sampling(demo):
    one = {"validation_prompts": ("a cat",), "num_validation_images": 1, "validation_guidance_scale": 1.0}
    assert need(demo, **one).drawing == KEPT + 30 + 100
    assert need(demo, replace(MEMORY, encoder=300), **one).drawing == KEPT + 300
    many = {**one, "num_validation_images": 8, "validation_guidance_scale": 4.0}
    assert need(demo, **many).drawing == KEPT + 5 + 16 * 40
    assert need(demo, **{**many, "validation_prompts": ("a cat", "a dog")}).drawing == need(demo, **many).drawing
    assert need(demo, replace(MEMORY, guided=1), **many).drawing == KEPT + 5 + 8 * 40
    assert need(demo, replace(MEMORY, encoder=300), drift_pairs=4).drawing == KEPT + 5 + 4 * 40  # nothing is encoded


def test_on_a_gpu_the_network_comes_after_the_prompts_are_encoded_and_on_a_cpu_processes_share(demo):
    assert need(demo).encoding == 200 + 90
    assert need(demo, device="cuda").encoding == 90
    assert need(demo, device="cuda", with_prior_preservation=True, class_prompt="a cat").encoding == 90
    assert need(demo, device="cuda", num_processes=2).step == need(demo).step
    assert need(demo, num_processes=2).step == 2 * need(demo).step
    assert need(demo).above == need(demo).peak - 200


def test_what_fits_passes_and_what_does_not_warns_with_what_to_change(demo, monkeypatch):
    config = changed(demo, **PLAIN)
    peak = need_of(config, large(), "cpu").peak
    monkeypatch.setattr(fits.psutil, "virtual_memory", lambda: type("Facts", (), {"available": free})())
    free = peak + RESERVE
    found = memory_check(config, measured(large()))
    assert found.level == "pass"
    assert "11.6 GB on cpu, 8.4 GB of it above the loaded base model" in found.text
    assert "nothing is drawn" in found.text
    free -= 1
    found = memory_check(config, measured(large()))
    assert found.level == "warn"
    for option in ("gradient_checkpointing", "train_batch_size", "mixed_precision = bf16", "resolution"):
        assert option in found.text
    assert "adamw_8bit" not in found.text


def test_only_what_can_still_be_changed_is_advised(demo):
    saving = {"gradient_checkpointing": True, "train_batch_size": 1, "mixed_precision": "bf16"}
    text = memory_check(changed(demo, **{**PLAIN, **saving}), measured(large(optimizer=400 * 2**24), "cuda", GIB)).text
    assert "optimizer = adamw_8bit" in text
    for option in ("gradient_checkpointing", "train_batch_size", "mixed_precision"):
        assert option not in text


def test_the_largest_phase_is_what_the_advice_is_about(demo):
    drawn = {**PLAIN, "validation_prompts": ("a cat", "a dog")}
    config = changed(demo, **drawn)
    assert "fewer validation pictures" in memory_check(config, measured(large(picture=2000 * 2**24), "cuda", GIB)).text
    text = memory_check(config, measured(large(encoder=2000 * 2**24), "cuda", GIB)).text
    assert "leave validation_prompts empty" in text
    text = memory_check(changed(demo, **PLAIN), measured(large(encoder=2000 * 2**24), "cuda", GIB)).text
    assert "a device with more memory" in text


def test_a_gpu_has_free_what_the_measurement_found_and_nothing_is_said_where_nothing_was_told(demo):
    config = changed(demo, **PLAIN)
    assert memory_check(config, measured(large(), "cuda", 80 * GIB)).level == "pass"
    assert memory_check(config, measured(large(), "cuda", GIB)).level == "warn"
    assert memory_check(config, measured(None)) is None
