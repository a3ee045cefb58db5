"""What encodes prompts is known by all that they depend on: two bases that share their encoders can tell them apart."""

import json
import shutil

import pytest
import torch
from tiny_families import CLASSES, save_flux, save_sd3, save_sdxl

from core.models.fingerprint import pictures_print, prompts_print, whole_print

SHARED = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "vae")


@pytest.fixture
def pair(tmp_path):
    """``pair(family, save, **changes)``: a base, and one with the same encoders that was saved otherwise."""

    def make(family, save, **changes):
        folders = [save(tmp_path / "first"), save(tmp_path / "second", **changes)]
        for name in SHARED:
            shutil.rmtree(folders[1] / name)
            shutil.copytree(folders[0] / name, folders[1] / name)
        return [CLASSES[family].load(str(folder)) for folder in folders]

    return make


def told_apart(first, second):
    return [found(first) != found(second) for found in (pictures_print, prompts_print, whole_print)]


def test_flux_with_and_without_a_guidance_embedding_reads_prompts_of_two_lengths(pair):
    dev, schnell = pair("flux", save_flux, guided=False)
    assert [base.encode_prompts(["a cat"]).shape[1] for base in (dev, schnell)] == [513, 257]
    assert told_apart(dev, schnell) == [False, True, True]


def test_sdxl_that_takes_zeros_for_no_prompt_is_not_one_that_encodes_it(pair):
    zeros, encoded = pair("sdxl", save_sdxl, force_zeros_for_empty_prompt=False)
    assert not torch.equal(zeros.empty_condition(), encoded.empty_condition())
    assert told_apart(zeros, encoded) == [False, True, True]


def test_sd3_without_t5_has_zeros_as_wide_as_its_transformer_takes(tmp_path):
    narrow = save_sd3(tmp_path / "narrow", with_t5=False)
    wide = shutil.copytree(narrow, tmp_path / "wide")
    shutil.rmtree(wide / "transformer")
    network = CLASSES["sd3"].load(str(narrow)).network
    config = {**network.config, "joint_attention_dim": network.config["joint_attention_dim"] + 8}
    type(network).from_config(config).save_pretrained(wide / "transformer")
    first, second = (CLASSES["sd3"].load(str(folder)) for folder in (narrow, wide))
    assert first.encode_prompts(["a cat"]).shape != second.encode_prompts(["a cat"]).shape
    assert told_apart(first, second) == [False, True, True]


def test_where_a_base_lies_makes_no_difference(tmp_path):
    first = save_sdxl(tmp_path / "first")
    second = shutil.copytree(first, tmp_path / "second")
    index = json.loads((second / "model_index.json").read_text())
    (second / "model_index.json").write_text(json.dumps({**index, "_diffusers_version": "0.1"}))
    assert told_apart(*(CLASSES["sdxl"].load(str(folder)) for folder in (first, second))) == [False, False, False]
