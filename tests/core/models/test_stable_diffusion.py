"""The family: loading, what it refuses, conditions, latents, and a LoRA file that a fresh diffusers pipeline reads."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open
from tiny_checkpoint import KINDS, save_checkpoint
from tiny_runs import ADAPTER, ROLLOUT, SIDE

from core.errors import ConfigError, DataError
from core.models import FAMILIES
from core.models.family import Family
from core.models.stable_diffusion import StableDiffusion
from core.samples.generate import Recipe, generate

PROMPT = "a sks cat"
RECIPE = Recipe(steps=4, guidance=3.0, size=SIDE)


def pixels(family, prompts=(PROMPT,), seeds=(1, 2), recipe=RECIPE):
    drawn = generate(family, prompts, seeds, recipe, on_step=lambda: None)
    return np.stack([np.array(sample.picture) for sample in drawn]).astype(int)


def drawn(pipeline, seeds=(1, 2)):
    """What a user draws with the pipeline alone."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    found = pipeline(
        [PROMPT] * len(seeds), num_inference_steps=RECIPE.steps, guidance_scale=RECIPE.guidance, height=SIDE,
        width=SIDE, generator=generators,
    )  # fmt: skip
    return np.stack([np.array(picture) for picture in found.images]).astype(int)


def fresh(base) -> StableDiffusionPipeline:
    """What a user does elsewhere, without any of our code."""
    pipeline = StableDiffusionPipeline.from_pretrained(base, safety_checker=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_and_the_noise_schedule_are_read_from_the_folder(bases, kind):
    family = StableDiffusion.load(str(bases[kind]))
    assert isinstance(family, Family)
    assert family.kind == kind
    assert family.schedule.last == (1000 if kind == "flow_matching" else 999)
    assert family.schedule.ends_in_pure_noise == (kind in ("flow_matching", "v_prediction"))


def test_the_registry_leads_to_the_family(bases):
    assert FAMILIES["stable_diffusion"].resolve() is StableDiffusion


def test_all_weights_are_frozen_and_in_evaluation_mode(bases):
    family = StableDiffusion.load(str(bases["epsilon"]))
    for part in (family.network, family.pipeline.vae, family.pipeline.text_encoder):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_half_precision_files_are_loaded_in_float32(bases, tmp_path):
    fresh(bases["epsilon"]).to(torch.float16).save_pretrained(tmp_path / "half")
    family = StableDiffusion.load(str(tmp_path / "half"))
    assert family.network.dtype == family.pipeline.vae.dtype == family.pipeline.text_encoder.dtype == torch.float32


def test_latents_decode_to_the_picture_scale(bases):
    """The scaling factor is applied once, as the pipeline takes it away once."""
    family = StableDiffusion.load(str(bases["epsilon"]))
    pictures = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = family.encode_pictures(pictures)
    assert latents.shape == (2, 4, SIDE // 2, SIDE // 2)
    plain = family.pipeline.vae.encode(pictures).latent_dist.mode() * family.pipeline.vae.config.scaling_factor
    torch.testing.assert_close(latents, plain)
    assert torch.equal(latents, family.encode_pictures(pictures))


def test_prompts_are_encoded_as_the_pipeline_encodes_them(bases):
    family = StableDiffusion.load(str(bases["epsilon"]))
    conditions = family.encode_prompts([PROMPT, ""])
    with torch.no_grad():
        whole, empty = family.pipeline.encode_prompt(PROMPT, "cpu", 1, True, negative_prompt="")
    torch.testing.assert_close(conditions, torch.cat([whole, empty]))
    assert not conditions.requires_grad


def test_a_prompt_does_not_depend_on_its_company(bases):
    family = StableDiffusion.load(str(bases["epsilon"]))
    together = family.encode_prompts([PROMPT, "a dog in the snow, at night"])[0]
    torch.testing.assert_close(together, family.encode_prompts([PROMPT])[0])


def test_predictions_are_float32_and_take_fractional_timesteps_of_each_item(bases):
    family = StableDiffusion.load(str(bases["flow_matching"]))
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    condition = family.encode_prompts([PROMPT, PROMPT])
    with torch.no_grad():
        both = family.predict(family.network, noisy, torch.tensor([10.25, 900.5]), condition)
        one = family.predict(family.network, noisy[1:], torch.tensor([900.5]), condition[1:])
    assert both.dtype == torch.float32
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


def refused(path, error=DataError, **kwargs) -> str:
    with pytest.raises(error) as caught:
        StableDiffusion.load(str(path), **kwargs)
    (problem,) = caught.value.problems
    assert "\n" not in problem.message
    return problem.message


@pytest.fixture
def copy(bases, tmp_path):
    """A base model's folder to damage."""
    return shutil.copytree(bases["epsilon"], tmp_path / "base")


def test_a_folder_that_is_no_model_is_told(tmp_path):
    assert "model_index.json" in refused(tmp_path)


def test_a_path_that_does_not_exist_is_told(tmp_path):
    message = refused(tmp_path / "gone")
    assert message.startswith("pretrained_model_name_or_path must be a folder that exists")


@pytest.mark.parametrize(
    "damage",
    [
        "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors", "unet/config.json", "model_index.json", "scheduler/scheduler_config.json",
        "text_encoder/config.json", "tokenizer",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_model_is_told_in_one_sentence(copy, damage, how):
    path = copy / damage
    if how == "gone":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif path.is_dir():
        for file in path.iterdir():
            file.write_bytes(b"{")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refused(copy).startswith("pretrained_model_name_or_path must be a diffusers folder")


def test_weights_of_another_shape_are_told(copy):
    path = copy / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cross_attention_dim": 32}))
    assert refused(copy).startswith("pretrained_model_name_or_path must be")


def test_a_pipeline_of_another_family_is_told(copy):
    path = copy / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "StableDiffusionXLPipeline"}))
    message = refused(copy)
    assert "StableDiffusionXLPipeline" in message


def test_an_inpainting_network_is_told(copy):
    from diffusers import UNet2DConditionModel

    config = UNet2DConditionModel.load_config(copy / "unet")
    UNet2DConditionModel.from_config({**config, "in_channels": 9}).save_pretrained(copy / "unet")
    assert "9" in refused(copy)


def test_a_scheduler_that_the_pipeline_cannot_sample_with_is_told(tmp_path):
    base = save_checkpoint(tmp_path / "base", scheduler=FlowMatchEulerDiscreteScheduler())
    with pytest.raises((DataError, ConfigError)) as caught:
        StableDiffusion.load(str(base))
    assert "pretrained_model_name_or_path must" in str(caught.value)


def test_an_unknown_prediction_type_is_told(tmp_path):
    base = save_checkpoint(tmp_path / "base", scheduler=DDIMScheduler(prediction_type="guess"))
    assert "guess" in refused(base)


def test_a_variant_that_is_not_there_is_told(bases):
    assert "fp16" in refused(bases["epsilon"], variant="fp16")


def test_a_revision_of_a_folder_is_told(bases):
    assert refused(bases["epsilon"], revision="main").startswith("revision must be unset")


@pytest.mark.parametrize("targets", ["attention", "attention+feed_forward", "all"])
def test_every_name_of_a_lora_target_is_found_in_the_network(bases, targets):
    family = StableDiffusion.load(str(bases["epsilon"]))
    modules = [name for name, _ in family.network.named_modules()]
    for target in family.lora_targets(targets):
        assert any(name.endswith(f".{target}") or name == target for name in modules), target


def test_wider_targets_contain_the_narrower_ones(bases):
    family = StableDiffusion.load(str(bases["epsilon"]))
    sets = [set(family.lora_targets(name)) for name in ("attention", "attention+feed_forward", "all")]
    assert sets[0] < sets[1] < sets[2]


@pytest.mark.parametrize(
    ("kind", "targets", "alpha"),
    [
        ("v_prediction", "attention", 2.0),
        ("epsilon", "attention+feed_forward", 0.5),
        ("sample", "all", 8.0),
        ("flow_matching", "all", 2.0),
    ],
)
def test_a_fresh_pipeline_reads_the_file_and_draws_what_was_trained(trained, bases, kind, targets, alpha, monkeypatch):
    from core.training.loop import Loop

    kept, plain = {}, Loop._finish

    def finish(loop):
        plain(loop)
        loop.parts.family.network.eval()
        kept["pixels"] = pixels(loop.parts.family)

    monkeypatch.setattr(Loop, "_finish", finish)
    folder = trained("run", kind, lora_targets=targets, lora_alpha=alpha, learning_rate=0.05, max_train_steps=4)
    pipeline = fresh(bases[kind])
    before = drawn(pipeline)
    pipeline.load_lora_weights(folder.adapter_dir)
    after = drawn(pipeline)
    assert np.abs(after - before).max() > 3
    assert np.abs(after - kept["pixels"]).max() <= 1
    pipeline.unload_lora_weights()
    assert np.array_equal(drawn(pipeline), before)


def test_the_file_says_how_it_was_made(trained):
    folder = trained(lora_alpha=3.0, **ROLLOUT)
    with safe_open(folder.adapter_dir / ADAPTER, framework="pt") as file:
        facts, names = file.metadata(), list(file.keys())
    options = json.loads(facts["rollout_options"])
    assert options["scheduled_sampling_max_step_offset"] == 3
    assert options["scheduled_sampling_stride"] == 40
    assert facts["rollout_steps"] == "3"
    assert json.loads(facts["lora_adapter_metadata"])["unet.lora_alpha"] == 3.0
    assert all(name.startswith("unet.") for name in names)
    assert sorted(path.name for path in folder.adapter_dir.iterdir()) == [ADAPTER]


def test_an_untrained_adapter_changes_nothing(bases):
    from core.training.adapter import add_adapter

    family = StableDiffusion.load(str(bases["epsilon"]))
    before = pixels(family)
    targets = family.lora_targets("all")
    parameters = add_adapter(family.network, targets=targets, rank=2, alpha=2.0, dropout=0.0, seed=1)
    assert all(parameter.dtype == torch.float32 for parameter in parameters)
    assert any(parameter.abs().max() > 0 for parameter in parameters)
    family.network.eval()
    assert np.array_equal(pixels(family), before)


def test_the_first_values_of_an_adapter_depend_on_the_seed_alone(bases):
    from core.training.adapter import add_adapter

    def values(seed):
        family = StableDiffusion.load(str(bases["epsilon"]))
        torch.rand(seed + 3)
        parameters = add_adapter(family.network, targets=["to_q"], rank=2, alpha=2.0, dropout=0.0, seed=seed)
        return torch.cat([parameter.flatten() for parameter in parameters])

    assert torch.equal(values(1), values(1))
    assert not torch.equal(values(1), values(2))


def test_a_picture_of_any_size_encodes(bases):
    family = StableDiffusion.load(str(bases["epsilon"]))
    picture = torch.from_numpy(np.array(Image.new("RGB", (24, 24)))).permute(2, 0, 1)[None].float()
    assert family.encode_pictures(picture).shape == (1, 4, 12, 12)
