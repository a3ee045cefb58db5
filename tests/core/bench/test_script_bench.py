"""The bench against a straightforward loop measures two loops that both train; nothing here asserts a time."""

import sys

import numpy as np
import pytest

from core.bench import script, script_child
from core.bench.resident import peak, reset_peak
from core.bench.small_sd15 import save_small_sd15
from core.bench.straight import Straight
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
    for name, value in {"SIDE": 16, "STEPS": 1, "WARMUP": 1}.items():
        monkeypatch.setattr(script_child, name, value)
    for which in (script_child.ours, script_child.theirs):
        numbers = which(bases["epsilon"], pictures, tmp_path)
        assert numbers.keys() == {"step", "peak", "loaded"}
        assert numbers["step"] > 0
        assert numbers["loaded"] > 0


def test_ratios_are_taken_pair_by_pair(monkeypatch, capsys):
    rows = iter([{"step": 1.0, "peak": 60 * MEBIBYTE}, {"step": 2.0, "peak": 100 * MEBIBYTE}] * script.PAIRS)
    monkeypatch.setattr(script, "one", lambda *_: next(rows))
    monkeypatch.setattr("core.bench.small_sd15.save_small_sd15", lambda folder: folder)
    script.measure()
    printed = capsys.readouterr().out
    assert "2.00 ×  ≥ 1.5" in printed
    assert "0.60 ×  ≤ 0.9" in printed


def test_the_small_checkpoint_loads_as_stable_diffusion(tmp_path):
    family = StableDiffusion.load(str(save_small_sd15(tmp_path / "base")))
    widths = family.network.config["block_out_channels"]
    assert [width / widths[0] for width in widths] == [1, 2, 4, 4]
    assert [width / 16 for width in family.pipeline.vae.config["block_out_channels"]] == [1, 2, 4, 4]
    assert family.encode_prompts(["a sks cat"]).shape == (1, 77, 96)
