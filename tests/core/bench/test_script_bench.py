"""The bench against a straightforward loop measures two loops that both train; nothing here asserts a time."""

import sys

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.bench import script, script_child
from core.bench.resident import peak, reset_peak
from core.bench.small_sd15 import ORIGINAL, SIZES, make_networks, save_small_sd15
from core.bench.straight import Straight
from core.bench.work import Work, count
from core.models.stable_diffusion import StableDiffusion

MEBIBYTE = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts like this")
def test_a_resident_peak_begins_anew_and_is_kept_after_the_memory_is_given_back():
    np.ones(96 * MEBIBYTE, np.uint8)  # an earlier peak, which does not count
    before = reset_peak()
    np.ones(48 * MEBIBYTE, np.uint8)
    assert 47 * MEBIBYTE <= peak() - before < 60 * MEBIBYTE


def test_the_straightforward_loop_trains_the_lora_alone(bases, pictures, one_thread):
    loop = Straight(bases["epsilon"], pictures, prompt="a sks cat", side=16, batch=2, rank=2, rate=1e-2)
    frozen = {name: value.clone() for name, value in loop.unet.named_parameters()}
    steps = loop.steps()
    for _ in range(2):
        next(steps)
    now = dict(loop.unet.named_parameters())
    assert all(now[name.replace(".weight", ".base_layer.weight")].equal(value) for name, value in frozen.items()
               if name.replace(".weight", ".base_layer.weight") in now)  # fmt: skip
    assert all(value.abs().max() > 0 for name, value in now.items() if "lora_B" in name)


def test_both_loops_are_measured_in_the_same_terms(bases, pictures, one_thread, tmp_path, monkeypatch):
    for name, value in {"STEPS": 2, "WARMUP": 1}.items():
        monkeypatch.setattr(script_child, name, value)
    for which in ("ours", "theirs"):
        numbers = script_child.measure(which, bases["epsilon"], pictures, 16, tmp_path)
        assert numbers.keys() == {"peak", "loaded", "ready"}
        assert numbers["loaded"] > 0
    steps = script_child.measure("both", bases["epsilon"], pictures, 16, tmp_path)
    assert [len(steps[which]) for which in ("ours", "theirs")] == [2, 2]


def test_ratios_are_taken_step_by_step_at_every_size(monkeypatch, capsys):
    found = {
        "ours": {"peak": 60 * MEBIBYTE, "loaded": 100 * MEBIBYTE, "ready": 2.0},
        "theirs": {"peak": 100 * MEBIBYTE, "loaded": 100 * MEBIBYTE, "ready": 0.0},
        "both": {"ours": [1.0, 2.0, 3.0], "theirs": [2.0, 5.0, 3.0]},
    }
    monkeypatch.setattr(script, "one", lambda which, *_: found[which])
    monkeypatch.setattr("core.bench.small_sd15.save_small_sd15", lambda folder, size: folder)
    monkeypatch.setattr("core.bench.work.count", lambda *_: Work(step=4 * 10**9, pictures=10**9, prompts=10**9))
    script.measure()
    printed = capsys.readouterr().out
    assert printed.count("1.50 ×  \n") == 1 + len(SIZES)
    for line in ("2.00 ×  ≥ 1.5", "0.60 ×  ≤ 0.9", "0.80 ×  ≤ 0.9"):
        assert printed.count(line) == len(SIZES)
    assert all(str(size) in printed for size in SIZES)


def test_the_first_size_shares_its_work_as_the_original_does_at_512_pixels():
    original, small = count(ORIGINAL, 4, 8), count(SIZES[0], 4, 8)
    assert small.pictures / small.step == pytest.approx(original.pictures / original.step, rel=0.05)
    assert small.gain == pytest.approx(original.gain, rel=0.02)


def test_a_step_is_a_forward_and_a_backward_through_frozen_weights():
    """They need no gradient of their own: the backward pass costs what the forward does, and more for attention."""
    with torch.device("meta"):
        unet = make_networks(SIZES[0])[0].requires_grad_(False)
        latent, condition = torch.empty(4, 4, 32, 32), torch.empty(4, 77, 192)
        with FlopCounterMode(display=False) as forward:
            unet(latent, torch.empty(4), condition)
    assert 2 < count(SIZES[0], 4, 8).step / forward.get_total_flops() < 2.5


def test_a_small_checkpoint_loads_as_stable_diffusion(tmp_path):
    family = StableDiffusion.load(str(save_small_sd15(tmp_path / "base", SIZES[1])))
    widths = family.network.config["block_out_channels"]
    assert [width / widths[0] for width in widths] == [1, 2, 4, 4]
    assert [width / 16 for width in family.pipeline.vae.config["block_out_channels"]] == [1, 2, 4, 4]
    assert family.encode_prompts(["a sks cat"]).shape == (1, 77, 96)
