"""What an exported file and its card say: what is true, as other tools read it, and nothing of the machine."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from fabricated import make_experiment
from PIL import Image
from safetensors import safe_open

from core.config.flat import flatten, parse_config
from core.config.paths import base_label
from core.export.architecture import ARCHITECTURES
from core.export.card import NO_EXPERIMENT, Card, card_text, front_matter, verdict_of
from core.export.formats import FORMATS
from core.export.loading import loading_lines
from core.export.metadata import kohya_keys, modelspec
from core.export.pictures import Pair, drawn_pair, sample_pairs
from core.export.source import Source
from core.export.write import write_format
from core.models.lora_file import read_lora
from core.models.stable_diffusion import StableDiffusion
from core.runs.exported import Agreement
from core.runs.folder import RunFolder
from core.runs.manifest import Entry, write_manifest
from core.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")

MEASURED = (Agreement("network", 0.5, 1e-6, 1.0, 1e-3, holds=True),)


@pytest.fixture(scope="module")
def source(finished, bases) -> Source:
    family = StableDiffusion.load(str(bases["v_prediction"]))
    return Source(
        finished, "my-cat", finished.config(), read_lora(finished.adapter_dir), dict(family.network.config),
        dict(family.pipeline.scheduler.config), family.kind,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(source, bases, tmp_path_factory) -> dict[str, Path]:
    """The weights in every format."""
    parts = {"unet": StableDiffusion.load(str(bases["v_prediction"])).network}
    return {name: write_format(source, name, tmp_path_factory.mktemp(name), parts)[0] for name in FORMATS}


def said(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


def changed(source: Source, **values) -> Source:
    return replace(source, config=parse_config({**flatten(source.config), **values}))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_what_other_tools_read(files, name):
    found = said(files[name])
    assert (
        found.items()
        >= {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": "stable-diffusion-v1/lora",
            "modelspec.title": "My cat",
            "modelspec.resolution": "16x16",
            "modelspec.prediction_type": "v",
            "modelspec.trigger_phrase": 'a "sks" cat',
            "modelspec.implementation": "diffusers",
            "ss_output_name": "my-cat",
            "ss_sd_model_name": "my base",
            "ss_base_model_version": "sd_v1_v",
            "ss_optimizer": "torch.optim.adamw.AdamW(weight_decay=0.01,betas=(0.9, 0.999),eps=1e-08)",
            "ss_enable_bucket": "False",
            "ss_random_crop": "False",
            "ss_network_dim": "2",
            "ss_network_alpha": "3",
            "ss_resolution": "(16, 16)",
            "ss_learning_rate": "0.1",
            "ss_steps": "3",
            "ss_v2": "False",
            "ss_v_parameterization": "True",
            "ss_zero_terminal_snr": "True",
            "rollout_steps": "3",
            "rollout_format": name,
        }.items()
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["modelspec.date"])
    assert json.loads(found["rollout_options"])["scheduled_sampling_max_step_offset"] == 2
    assert json.loads(found["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "3"}
    assert all(isinstance(value, str) and value != "None" for value in found.values())


def test_only_kohyas_keys_are_called_a_network_of_kohya(files):
    assert said(files["kohya"])["ss_network_module"] == "networks.lora"
    assert all("ss_network_module" not in said(files[name]) for name in ("diffusers", "peft"))


def test_pictures_and_tags_are_counted_as_the_run_wrote_them_down(source, tmp_path, bases):
    found = kohya_keys(source)
    assert (found["ss_num_train_images"], found["ss_num_reg_images"]) == ("4", "0")
    assert json.loads(found["ss_tag_frequency"]) == {"instance": {'a "sks" cat': 3, "a red sks cat": 1}}
    assert json.loads(found["ss_dataset_dirs"]) == {"instance": {"n_repeats": 1, "img_count": 4}}
    made = RunFolder.create(tmp_path, "other", source.config)
    assert not {"ss_num_train_images", "ss_tag_frequency"} & kohya_keys(replace(source, run=made)).keys()
    shared = {"sha256": "0", "width": 8, "height": 8, "prompt_source": "x", "mask": None, "bucket": (8, 8)}
    own = [
        Entry(set="instance", file=f"10_sks cat/{name}.png", prompt="sks, cat", repeats=10, **shared) for name in "ab"
    ]
    entries = [*own, Entry(set="class", file="c.png", prompt="a cat", repeats=1, **shared)]
    write_manifest(made, entries)
    found = kohya_keys(replace(source, run=made))
    assert (found["ss_num_train_images"], found["ss_num_reg_images"]) == ("20", "1")
    assert json.loads(found["ss_tag_frequency"]) == {"10_sks cat": {"sks": 2, "cat": 2}, "class": {"a cat": 1}}
    assert json.loads(found["ss_dataset_dirs"])["10_sks cat"] == {"n_repeats": 10, "img_count": 2}


@pytest.mark.parametrize("name", FORMATS)
def test_the_hash_is_that_of_everything_behind_the_header(files, name):
    data = files[name].read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert said(files[name])["modelspec.hash_sha256"] == f"0x{hashlib.sha256(data[start:]).hexdigest()}"


def test_the_adapters_own_configuration_goes_along_in_diffusers_format(files):
    assert json.loads(said(files["diffusers"])["lora_adapter_metadata"])["unet.lora_alpha"] == 3.0


def test_what_is_off_is_not_said(source, files):
    found = said(files["kohya"])
    assert not {"ss_min_snr_gamma", "ss_prior_loss_weight", "ss_network_dropout"} & found.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_no_file_tells_of_user_machine_or_token(source, bases, tmp_path, monkeypatch, name):
    for variable in ("HF_TOKEN", "USER", "LOGNAME"):
        monkeypatch.setenv(variable, "secretuser-hf_0123456789")
    monkeypatch.setattr(type(source.run), "title", "Cat in /home/secretuser/cats")
    told = changed(source, instance_prompt="a cat of /home/secretuser/cats", placebo_of="/home/secretuser/run")
    more = {"rollout_placebo": "of /home/secretuser/run"}
    told = replace(told, lora=replace(told.lora, metadata={**told.lora.metadata, **more}))
    parts = {"unet": StableDiffusion.load(str(bases["v_prediction"])).network}
    write_format(told, name, tmp_path, parts)
    pairs = (Pair("a /home/secretuser/cat", 42, "images/a.png", "images/b.png"),)
    (tmp_path / "README.md").write_text(card_text(Card(told, name, pairs, {"a": 1}, MEASURED)))
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secretuser" not in everything
    assert str(source.run.path.parent).encode() not in everything
    assert b"my base" in everything
    assert b"cats" in everything


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("/home/bob/models/cats", "cats"), ("~/models/cats", "cats"), ("../bob/cats", "cats"), ("bob/own/cats", "cats"),
        (r"C:\Users\bob\cats", "cats"), ("embedded", "embedded"), ("stabilityai/sdxl", "stabilityai/sdxl"),
    ],
)  # fmt: skip
def test_a_base_model_is_called_by_its_hub_name_or_the_end_of_its_path(name, label):
    assert base_label(name) == label


@pytest.mark.parametrize(
    ("family", "network", "kind", "architecture", "version"),
    [
        ("stable_diffusion", {"cross_attention_dim": 768}, "epsilon", "stable-diffusion-v1", "sd_v1"),
        ("stable_diffusion", {"cross_attention_dim": 1024}, "epsilon", "stable-diffusion-v2-512", "sd_v2"),
        ("stable_diffusion", {"cross_attention_dim": 1024}, "v_prediction", "stable-diffusion-v2-768-v", "sd_v2_v"),
        ("sdxl", {}, "epsilon", "stable-diffusion-xl-v1-base", "sdxl_base_v1-0"),
        ("sd3", {"num_layers": 24}, "flow_matching", "stable-diffusion-3-medium", "sd3"),
        ("sd3", {"num_layers": 24, "dual_attention_layers": (0,)}, "flow", "stable-diffusion-3.5-medium", "sd3.5"),
        ("sd3", {"num_layers": 38}, "flow_matching", "stable-diffusion-3.5-large", "sd3.5"),
        ("flux", {"guidance_embeds": True}, "flow_matching", "Flux.1-dev", "flux1"),
        ("flux", {"guidance_embeds": False}, "flow_matching", "Flux.1-schnell", "flux1"),
    ],
)  # fmt: skip
def test_each_family_has_the_names_that_tools_know(family, network, kind, architecture, version):
    found = ARCHITECTURES[family]
    assert (found.modelspec(network, kind), found.kohya(network, kind)) == (architecture, version)


def test_the_front_matter_is_what_the_hub_reads(source):
    pairs = (Pair('a: "cat" | #1', 42, "images/a.png", "images/b.png"),)
    hub = changed(source, pretrained_model_name_or_path="stabilityai/sdxl")
    found = yaml.safe_load(front_matter(Card(hub, "diffusers", pairs, {}, MEASURED)))
    assert found["base_model"] == "stabilityai/sdxl"
    assert found["instance_prompt"] == 'a "sks" cat'
    assert found["widget"] == [{"text": 'a: "cat" | #1', "output": {"url": "images/b.png"}}]
    assert found["library_name"] == "diffusers"
    assert {"lora", "text-to-image", "stable-diffusion"} <= set(found["tags"])
    own = yaml.safe_load(front_matter(Card(source, "peft", (), {}, MEASURED)))
    assert "base_model" not in own  # a folder's name may be somebody else's model there
    assert own["library_name"] == "peft"


def test_the_card_shows_options_sizes_pictures_and_what_was_measured(source):
    pairs = (Pair("a | cat", 42, "images/a.png", "images/b.png"),)
    text = card_text(Card(source, "kohya", pairs, {"my-cat.safetensors": 5 * 2**20}, MEASURED))
    assert "| `scheduled_sampling_max_step_offset` | 2 |" in text
    assert "a \\| cat (seed 42) | ![without the LoRA](images/a.png) | ![with the LoRA](images/b.png) |" in text
    assert "`my-cat.safetensors`: 5 MB" in text
    assert "deviates by 1.0e-06 of the adapter's change (tolerance 0.001)" in text
    assert "<lora:my-cat:1>" in text
    assert NO_EXPERIMENT in text


def test_a_card_of_a_run_without_rollout_says_so(source):
    off = changed(source, scheduled_sampling_max_step_offset=0)
    assert "Off: this LoRA was trained teacher-forced." in card_text(Card(off, "peft", (), {}, MEASURED))


def test_an_arms_card_has_the_verdict_of_its_experiment(source, tmp_path):
    experiment = make_experiment(Workspace(tmp_path / "workspace"), seeds=2)
    arm = next(arm for arm in experiment.arms if arm.arm == "rollout")
    lines = verdict_of(replace(source, run=arm.run, config=arm.run.config()))
    assert lines[0].startswith("This is the arm Rollout, training seed ")
    assert any("Declared before training" in line for line in lines)
    assert verdict_of(source) == [NO_EXPERIMENT]


def test_a_transformers_card_gives_the_strength_that_comfyui_does_not_read(source):
    flux = changed(source, family="flux", scheduled_sampling_max_step_offset=0)
    assert "with the strength 1.5: it reads no alpha from this file" in "\n".join(loading_lines(flux, "diffusers"))
    plain = replace(
        flux, lora=replace(flux.lora, modules=tuple(replace(each, scale=1.0) for each in flux.lora.modules))
    )
    assert "strength" not in "\n".join(loading_lines(plain, "diffusers"))
    assert "export the run as `kohya`" in "\n".join(loading_lines(source, "diffusers"))


def test_the_pictures_are_the_runs_first_and_last_samples(source, tmp_path):

    pairs = sample_pairs(source.run, source.config, source.steps, tmp_path)
    assert [(pair.prompt, pair.seed) for pair in pairs] == [("a sks cat", 42), ("a sks cat | asleep", 42)]
    for pair, prompt in zip(pairs, (0, 1), strict=True):
        for name, step in ((pair.without, 0), (pair.with_lora, 3)):
            own = source.run.samples_dir / f"step-{step:06d}" / f"p{prompt:02d}-s42.png"
            assert Image.open(tmp_path / name).tobytes() == Image.open(own).tobytes()


def test_without_samples_the_pictures_are_those_of_the_check(source, tmp_path):

    none = parse_config({**flatten(source.config), "validation_prompts": []})
    assert sample_pairs(source.run, none, source.steps, tmp_path) == ()
    pair = drawn_pair("a cat", 7, (torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)), tmp_path)
    assert Image.open(tmp_path / pair.without).getpixel((0, 0)) == (0, 0, 0)
    assert Image.open(tmp_path / pair.with_lora).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("name", "told"),
    [("adamw_8bit", "bitsandbytes.optim.adamw.AdamW8bit("), ("prodigy", "prodigyopt.prodigy.Prodigy(")],
)
def test_the_optimizer_is_named_as_kohya_names_it(source, name, told):
    assert kohya_keys(changed(source, optimizer=name))["ss_optimizer"].startswith(told)


def test_buckets_are_told_and_no_resolution_that_was_not_trained(source):
    bucketed = changed(source, aspect_ratio_buckets="16,32;24,24;32,16", center_crop=False, random_flip=True)
    found = kohya_keys(bucketed)
    assert found["ss_enable_bucket"] == found["ss_random_crop"] == found["ss_flip_aug"] == "True"
    assert "ss_resolution" not in found
    assert modelspec(bucketed, "diffusers")["modelspec.resolution"] == "24x24"


def test_every_value_is_a_text(source):
    found = {**kohya_keys(source), **modelspec(source, "diffusers")}
    assert {type(value) for value in found.values()} == {str}
