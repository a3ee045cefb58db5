"""Network and text encoders in half precision: half the weights, one condition everywhere, float32 outside."""

import pytest
import torch
from tiny_families import CLASSES
from tiny_runs import SIDE, run, same_bits
from torch import nn

from core.models.fingerprint import prompts_print
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.samples.load import load_base, load_finished

FAMILIES = sorted(["stable_diffusion", *CLASSES])
HALVES = (torch.bfloat16, torch.float16)
PROMPTS = ["a photo of a cat", ""]


@pytest.fixture(params=FAMILIES)
def loaded(request, bases, family_bases):
    """``loaded(precision)``: a base model of each family."""
    name = request.param
    kind = {"stable_diffusion": StableDiffusion, **CLASSES}[name]
    folder = bases["v_prediction"] if name == "stable_diffusion" else family_bases[name]
    return lambda precision=torch.float32: kind.load(str(folder), precision=precision)


def encoders_of(family):
    return [getattr(family.pipeline, name) for name in family.encoders]


@pytest.mark.parametrize("precision", HALVES, ids=str)
def test_linear_layers_are_halved_once_and_stay_so(loaded, precision):
    family = loaded(precision)
    for _ in range(2):
        for encoder in encoders_of(family):
            # float16 ends at 65504, which T5's values exceed
            wanted = torch.bfloat16 if type(encoder).__name__.startswith("T5") else precision
            linear = [module.weight for module in encoder.modules() if isinstance(module, nn.Linear)]
            assert {each.dtype for each in linear} == {wanted}
            assert encoder.dtype == encoder.get_input_embeddings().weight.dtype == torch.float32
        family.encode_prompts(PROMPTS)
    assert {each.dtype for each in family.network.parameters()} == {precision}
    assert {each.dtype for each in family.pipeline.vae.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", HALVES, ids=str)
def test_conditions_stay_float32_and_near_the_full_ones(loaded, precision):
    full, half = loaded().encode_prompts(PROMPTS), loaded(precision).encode_prompts(PROMPTS)
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


def test_conditions_of_two_precisions_have_two_fingerprints(loaded):
    assert len({prompts_print(loaded(precision)) for precision in (torch.float32, torch.bfloat16)}) == 2


def test_samples_are_drawn_in_float32_near_the_full_ones(loaded, one_thread):
    def drawn(family):
        return family.sample(["a cat"], [1], steps=2, guidance=1.0, size=SIDE, on_step=lambda: None)

    full, half = drawn(loaded()), drawn(loaded(torch.bfloat16))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_a_run_is_trained_and_sampled_with_one_condition(
    family, config, family_bases, runs_dir, monkeypatch, one_thread
):
    seen = {}
    kind, plain = CLASSES[family], CLASSES[family].encode_prompts

    def keep(self, prompts):
        found = plain(self, prompts)
        seen.setdefault(tuple(prompts), found.clone())
        return found

    monkeypatch.setattr(kind, "encode_prompts", keep)
    folder = RunFolder.create(
        runs_dir, "half", config(family_bases[family], family=family, resolution=SIDE, mixed_precision="bf16")
    )
    run(folder)
    monkeypatch.undo()
    finished = load_finished(folder)
    assert seen
    assert same_bits(seen, {prompts: finished.encode_prompts(list(prompts)) for prompts in seen})
    assert prompts_print(finished) != prompts_print(kind.load(str(family_bases[family])))


def test_without_mixed_precision_nothing_is_halved(config, bases):
    encoder = load_base(config(bases["v_prediction"])).pipeline.text_encoder
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
