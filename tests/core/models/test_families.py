"""What every family promises: conditions, latents, grids, targets and predictions as its own pipeline has them."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from tiny_families import CLASSES, save_flux, save_sd3, save_sdxl
from tiny_runs import SIDE

from core.data.prompts import tokens_read
from core.errors import DataError
from core.models import FAMILIES
from core.models.family import Family
from core.models.lora_targets import TARGETS
from core.training.adapter import add_adapter

PROMPT = "a sks cat"


@pytest.fixture(params=sorted(CLASSES))
def family(request, family_bases):
    return CLASSES[request.param].load(str(family_bases[request.param]))


def draw(family, steps=3, guidance=3.5, size=SIDE):
    return family.sample([PROMPT] * 2, [1, 2], steps=steps, guidance=guidance, size=size, on_step=lambda: None)


def test_it_keeps_the_contract(family):
    assert isinstance(family, Family)
    assert any(entry.resolve() is type(family) for entry in FAMILIES.values())
    assert not any(parameter.requires_grad for parameter in family.network.parameters())
    assert not family.network.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_its_precision_is_that_of_the_frozen_weights_whatever_is_adapted(family, family_bases, dtype):
    name = next(name for name, kind in CLASSES.items() if kind is type(family))
    loaded = CLASSES[name].load(str(family_bases[name]), precision=dtype)
    add_adapter(loaded.network, targets=loaded.lora_targets("all"), rank=2, alpha=2.0, dropout=0.0, seed=0)
    assert loaded.dtype == loaded.network.dtype == dtype


def test_prompts_are_encoded_where_an_encoder_is_called_not_where_it_waits(family, monkeypatch):
    asked = []

    def encode(*args, device, **kwargs):
        asked.append(device)
        raise InterruptedError

    monkeypatch.setattr(
        family.pipeline.text_encoder, "_hf_hook", SimpleNamespace(execution_device="gpu"), raising=False
    )
    monkeypatch.setattr(family.pipeline, "encode_prompt", encode)
    with pytest.raises(InterruptedError):
        family.encode_prompts([PROMPT])
    assert asked == ["gpu"]


@pytest.mark.parametrize("steps", [2, 5])
@pytest.mark.parametrize("size", [SIDE, 2 * SIDE])
def test_the_grid_is_what_the_pipeline_samples_at(family, steps, size):
    draw(family, steps, size=size)
    visited = family.pipeline.scheduler.timesteps.float().sort().values
    torch.testing.assert_close(family.sampling_grid(steps, size), visited, rtol=0, atol=1e-3)


def test_a_larger_picture_shifts_the_grid_of_a_family_that_shifts(family_bases, tmp_path):
    flux = CLASSES["flux"].load(str(family_bases["flux"]))
    shifted = CLASSES["sd3"].load(str(save_sd3(tmp_path / "sd3", use_dynamic_shifting=True)))
    for family in (flux, shifted):
        assert bool((family.sampling_grid(4, 512)[:-1] > family.sampling_grid(4, SIDE)[:-1]).all())
        draw(family, 4)
        visited = family.pipeline.scheduler.timesteps.float().sort().values
        torch.testing.assert_close(family.sampling_grid(4, SIDE), visited, rtol=0, atol=1e-3)


def test_latents_decode_to_what_the_pipeline_shows(family):
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    with torch.inference_mode():
        shown = family.pipeline(
            [PROMPT] * 2, num_inference_steps=3, guidance_scale=3.5, height=SIDE, width=SIDE, generator=generators,
            output_type="pt", **family._asked,
        ).images  # fmt: skip
    drawn = draw(family)
    assert drawn.shape == (2, 4, SIDE // 2, SIDE // 2)
    torch.testing.assert_close(family.decode(drawn), shown.cpu(), rtol=0, atol=2e-3)


def test_pictures_are_encoded_as_the_pipeline_takes_its_scale_away(family):
    pictures = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents, vae = family.encode_pictures(pictures), family.pipeline.vae
    shift = vae.config["shift_factor"] or 0.0
    with torch.no_grad():
        plain = vae.encode(pictures).latent_dist.mode()
    torch.testing.assert_close(latents / vae.config["scaling_factor"] + shift, plain)
    with torch.no_grad():
        torch.testing.assert_close(family.decode(latents), (vae.decode(plain).sample / 2 + 0.5).clamp(0, 1))


def test_a_step_of_the_pipeline_is_a_prediction_of_the_family(family, monkeypatch):
    """Conditions, timesteps, guidance and packing are those that the pipeline itself hands to its network."""
    asked = []

    def note(module, args, kwargs, output):
        asked.append((args, kwargs, output[0]))

    hook = family.network.register_forward_hook(note, with_kwargs=True)
    draw(family, steps=2, guidance=family.unguided)
    hook.remove()
    args, kwargs, predicted = asked[0]
    noise = draw_noise(family, args, kwargs)
    timestep = torch.full((2,), float(family.pipeline.scheduler.timesteps[0]))
    with torch.no_grad():
        own = family.predict(family.network, noise, timestep, family.encode_prompts([PROMPT] * 2))
    whole = family._unpacked(predicted, SIDE) if predicted.ndim == 3 else predicted
    torch.testing.assert_close(own, whole.float(), rtol=1e-4, atol=1e-5)


def draw_noise(family, args, kwargs):
    """The latents that the pipeline handed to its network first, unpacked."""
    noisy = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
    return family._unpacked(noisy, SIDE) if noisy.ndim == 3 else noisy


def test_guided_sampling_is_two_predictions_with_and_without_the_prompt(family):
    if not family.takes_guidance:
        pytest.skip("guided in one forward")
    asked = []
    hook = family.network.register_forward_hook(
        lambda module, args, kwargs, output: asked.append((args, kwargs, output[0])), with_kwargs=True
    )
    draw(family, steps=2, guidance=3.0)
    hook.remove()
    args, kwargs, predicted = asked[0]
    noisy = draw_noise(family, args, kwargs)
    captions = family.encode_prompts([PROMPT] * 2)
    both = torch.cat([family.unprompted(captions, family.empty_condition()), captions])
    timestep = torch.full((4,), float(family.pipeline.scheduler.timesteps[0]))
    with torch.no_grad():
        own = family.predict(family.network, noisy, timestep, both)
    torch.testing.assert_close(own, predicted.float(), rtol=1e-4, atol=1e-5)


def test_a_prediction_does_not_depend_on_its_company(family):
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    condition, timestep = family.encode_prompts([PROMPT, "a dog at night"]), torch.tensor([10.25, 900.5])
    with torch.no_grad():
        both = family.predict(family.network, noisy, timestep, condition)
        one = family.predict(family.network, noisy[1:], timestep[1:], condition[1:])
    assert both.dtype == torch.float32
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "attention+feed_forward", "all"])
def test_every_lora_target_is_found_and_the_networks_ends_are_left_alone(family, name):
    modules = [module for module, _ in family.network.named_modules()]
    targets = family.lora_targets(name)
    assert len(targets) == len(set(targets))
    for target in targets:
        assert any(module.endswith(f".{target}") or module == target for module in modules), target
    if family.part == "transformer":
        hit = [each for each in modules for target in targets if each.endswith(f".{target}") or each == target]
        assert all("blocks." in each for each in hit)


def test_wider_targets_contain_the_narrower_ones():
    for targets in TARGETS.values():
        sets = [set(targets[name]) for name in ("attention", "attention+feed_forward", "all")]
        assert sets[0] < sets[1] < sets[2]


def test_sdxl_is_told_how_a_picture_was_cut(family_bases):
    family = CLASSES["sdxl"].load(str(family_bases["sdxl"]))
    told = []
    family.network.register_forward_pre_hook(
        lambda module, args, kwargs: told.append(kwargs["added_cond_kwargs"]["time_ids"]), with_kwargs=True
    )
    framing = torch.tensor([[40.0, 60.0, 0.0, 8.0, 16.0, 16.0], [1365.0, 2049.0, 3.0, 0.0, 16.0, 16.0]])
    plain = family.encode_prompts([PROMPT] * 2)
    framed = family.frame(plain, framing)
    noisy, timestep = torch.zeros(2, 4, 8, 8), torch.tensor([1.0, 500.0])
    with torch.no_grad():
        for condition in (plain, framed, family.unprompted(framed, family.empty_condition())):
            family.predict(family.network, noisy, timestep, condition)
    whole = torch.tensor([[SIDE, SIDE, 0.0, 0.0, SIDE, SIDE]] * 2)
    assert torch.equal(told[0], whole)
    assert torch.equal(told[1], framing)
    assert torch.equal(told[2], framing)


def test_sdxl_takes_zeros_for_no_prompt_where_its_pipeline_does(family_bases, tmp_path):
    zeros = CLASSES["sdxl"].load(str(family_bases["sdxl"]))
    texts = CLASSES["sdxl"].load(str(save_sdxl(tmp_path / "sdxl", force_zeros_for_empty_prompt=False)))
    assert zeros.empty_condition().abs().max() == 0
    torch.testing.assert_close(texts.empty_condition(), texts.encode_prompts([""])[0])
    assert texts.empty_condition().abs().max() > 0


def test_sd3_without_its_third_encoder_reads_zeros_in_its_place(tmp_path):
    family = CLASSES["sd3"].load(str(save_sd3(tmp_path / "sd3", with_t5=False)))
    condition = family.encode_prompts([PROMPT])
    assert family.pipeline.text_encoder_3 is None
    assert condition[0, 24:-1].abs().max() == 0  # below the tokens of the CLIP encoders
    assert condition[0, :24].abs().max() > 0


def test_a_prompt_is_read_as_far_as_the_t5_encoder_reads_it(family_bases, tmp_path):
    schnell = save_flux(tmp_path / "schnell", guided=False)
    assert [tokens_read(base) for base in (family_bases["sd3"], family_bases["flux"], schnell)] == [255, 511, 255]
    assert tokens_read(save_sd3(tmp_path / "sd3", with_t5=False)) == tokens_read(family_bases["sdxl"]) == 22


@pytest.mark.parametrize(("guided", "most"), [(True, 511), (False, 255)])
def test_flux_reads_as_much_of_a_prompt_as_is_told(tmp_path, guided, most):
    base = save_flux(tmp_path / "flux", guided=guided)
    family, letters = CLASSES["flux"].load(str(base)), "a" * (most - 1)  # and the blank that T5 begins with
    assert tokens_read(base) == most
    one, other, beyond = family.encode_prompts([letters, f"{letters[:-1]}b", f"{letters}b"])
    assert not torch.equal(one, other)
    assert torch.equal(one, beyond)


def test_flux_is_told_its_guidance(family_bases):
    path, noisy = str(family_bases["flux"]), torch.ones(1, 4, 8, 8)
    predicted = []
    for guidance in (None, 3.5, 1.0):
        family = CLASSES["flux"].load(path, embedded_guidance=guidance)
        assert family.unguided == (3.5 if guidance is None else guidance)
        assert family.guides_samples
        assert not family.takes_guidance
        with torch.no_grad():
            predicted.append(
                family.predict(family.network, noisy, torch.tensor([500.0]), family.encode_prompts([PROMPT]))
            )
    assert torch.equal(predicted[0], predicted[1])
    assert not torch.equal(predicted[0], predicted[2])


def test_flux_without_a_guidance_embedding_takes_no_guidance(tmp_path):
    path = str(save_flux(tmp_path / "schnell", guided=False))
    family = CLASSES["flux"].load(path)
    assert not family.guides_samples
    assert family.unguided == 1
    with pytest.raises(DataError, match="embedded_guidance must be unset for a base model without"):
        CLASSES["flux"].load(path, embedded_guidance=3.5)


def refused(name, path) -> str:
    with pytest.raises(DataError) as caught:
        CLASSES[name].load(str(path))
    (problem,) = caught.value.problems
    assert "\n" not in problem.message
    return problem.message


@pytest.fixture
def copy(family_bases, tmp_path):
    def make(name):
        return shutil.copytree(family_bases[name], tmp_path / name)

    return make


def test_the_refiner_is_refused_with_a_sentence(copy):
    path = copy("sdxl")
    index = path / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "StableDiffusionXLImg2ImgPipeline"}))
    assert "take the base" in refused("sdxl", path)


@pytest.mark.parametrize(("name", "other"), [("sdxl", "sd3"), ("sd3", "flux"), ("flux", "sdxl")])
def test_a_base_of_another_family_is_told(family_bases, name, other):
    assert "choose the family that it belongs to" in refused(name, family_bases[other])


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux"])
def test_a_scheduler_of_another_kind_is_told(copy, name):
    path = copy(name)
    other = DDIMScheduler() if name != "sdxl" else FlowMatchEulerDiscreteScheduler()
    other.save_pretrained(path / "scheduler")
    index = json.loads((path / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", type(other).__name__]
    (path / "model_index.json").write_text(json.dumps(index))
    assert refused(name, path).startswith("pretrained_model_name_or_path must")


@pytest.mark.parametrize(("name", "part"), [("sdxl", "text_encoder_2"), ("sd3", "text_encoder_3"), ("flux", "vae")])
def test_a_base_that_lacks_a_part_is_told(copy, name, part):
    path = copy(name)
    shutil.rmtree(path / part)
    assert f"with a {part}" in refused(name, path)


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux"])
def test_a_base_that_lacks_weights_is_told(copy, name):
    from safetensors.torch import load_file, save_file

    (path,) = (copy(name) / "text_encoder_2").glob("*.safetensors")
    tensors = load_file(path)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, path, metadata={"format": "pt"})
    assert "with all of its weights" in refused(name, path.parents[1])
