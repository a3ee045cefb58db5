"""LoRA files on a base: loaded as diffusers does it, off again without a trace, or what does not fit is named."""

import json

import pytest
import torch
from lora_files import family, kohya, rewritten, same, seen, trained_file
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import DataError
from core.models.lora_file import read_lora
from core.models.lora_fit import LISTED, audit, load_lora, misfits, missing_parts, unload_lora, without_lora

__all__ = ["family", "trained_file"]


def test_a_loaded_file_does_what_diffusers_makes_of_it(family, trained_file):
    base = seen(family)
    load_lora(read_lora(trained_file), family)
    ours = seen(family)
    unload_lora(family)
    family.pipeline.load_lora_weights(trained_file.parent, use_safetensors=True)
    family.network.eval()
    torch.testing.assert_close(ours[1], seen(family)[1])
    assert not torch.equal(ours[1], base[1])


def test_a_kohya_file_changes_network_and_text_encoder_as_diffusers_has_it(family, tmp_path):
    path, base = kohya(family, tmp_path / "kohya.safetensors"), seen(family)
    lora = read_lora(path)
    assert (lora.format, {module.alpha for module in lora.modules}) == ("kohya", {1.0})
    load_lora(lora, family)
    ours = seen(family)
    unload_lora(family)
    family.pipeline.load_lora_weights(str(path), use_safetensors=True)
    for own, theirs, before in zip(ours, seen(family), base, strict=True):
        torch.testing.assert_close(own, theirs)
        assert not torch.equal(own, before)


def test_a_peft_folder_brings_its_alpha(family, trained_file, tmp_path):
    folder = tmp_path / "peft"
    folder.mkdir()
    path = folder / "adapter_model.safetensors"
    rewritten(trained_file, path, lambda key, tensor: ("base_model.model." + key.removeprefix("unet."), tensor))
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 1.0}))
    lora = read_lora(folder)
    assert (lora.format, {module.scale for module in lora.modules}) == ("peft", {0.5})
    load_lora(lora, family)
    ours = seen(family)
    unload_lora(family)
    load_lora(read_lora(trained_file), family)
    assert same(ours, seen(family))


def test_without_its_adapter_the_base_is_as_it_was_bit_for_bit(family, tmp_path):
    base = seen(family)
    load_lora(read_lora(kohya(family, tmp_path / "kohya.safetensors")), family)
    adapted = seen(family)
    with without_lora(family):
        assert same(seen(family), base)
    assert same(seen(family), adapted)
    unload_lora(family)
    assert same(seen(family), base)
    assert not any(isinstance(module, BaseTunerLayer) for module in family.network.modules())


def test_dropout_of_the_training_is_off_when_a_file_is_loaded(family, trained_file):
    load_lora(read_lora(trained_file), family)
    assert same(seen(family), seen(family))


def test_keys_of_another_base_are_named_and_nothing_is_loaded(family, tmp_path):
    lora = read_lora(kohya(family, tmp_path / "foreign.safetensors", prefix="foreign_"))
    with pytest.raises(DataError) as caught:
        load_lora(lora, family)
    lines = str(caught.value).splitlines()
    assert len(lines) == LISTED + 1
    assert lines[0].startswith(lora.modules[0].down)
    assert lines[-1].startswith(f"{len(lora.modules) - LISTED} more keys")
    assert not any(isinstance(module, BaseTunerLayer) for module in family.network.modules())


def test_wrong_shapes_are_named_with_both_shapes(family, trained_file, tmp_path):
    def wider(key, tensor):
        return key, torch.cat([tensor, tensor], -1) if key.endswith("attn1.to_q.lora_A.weight") else tensor

    lora = read_lora(rewritten(trained_file, tmp_path / "wide.safetensors", wider))
    problems = [str(problem) for problem in misfits(lora, family)]
    wrong = [module for module in lora.modules if module.name.endswith("attn1.to_q")]
    assert len(problems) == len(wrong) > 0
    for problem, module in zip(problems, wrong, strict=True):
        assert problem.startswith(module.down)
        rank, into = module.down_shape
        assert f"shape {rank} × {into // 2}, got {rank} × {into}" in problem


def test_a_module_that_takes_no_lora_is_named(family, tmp_path):
    norm = next(name for name, module in family.network.named_modules() if isinstance(module, nn.GroupNorm))
    path = tmp_path / "norm.safetensors"
    save_file({f"unet.{norm}.lora_A.weight": torch.ones(1, 8), f"unet.{norm}.lora_B.weight": torch.ones(8, 1)}, path)
    (problem,) = misfits(read_lora(path), family)
    assert "GroupNorm" in str(problem)


@pytest.mark.parametrize("key", ["unet.conv_in.dora_scale", "lora_unet_conv_in.hada_w1_a", "unet.x.lora_A.weight"])
def test_what_is_no_part_of_a_plain_lora_is_named(family, trained_file, tmp_path, key):
    path = tmp_path / "more.safetensors"
    save_file({**load_file(trained_file), key: torch.ones(1, 1)}, path)
    lora = read_lora(path)
    assert audit(lora).unknown == (key,)
    (problem,) = misfits(lora, family)
    assert str(problem).startswith(key)


def test_a_part_that_the_base_lacks_is_said_and_left_out(family, tmp_path):
    second = {
        "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 4),
        "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(4, 1),
    }
    lora = read_lora(kohya(family, tmp_path / "two.safetensors", **second))
    assert missing_parts(lora, family) == ("text_encoder_2",)
    assert misfits(lora, family) == ()
    load_lora(lora, family)
    save_file(second, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="text_encoder_2 alone"):
        load_lora(read_lora(tmp_path / "other.safetensors"), family)
