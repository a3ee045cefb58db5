"""kohya's config files, of its scripts and of its GUI, and its data set files."""

import json
import shutil
from pathlib import Path

import pytest

from core.config.flat import flatten
from core.config.foreign import import_file, import_text
from core.config.foreign.kohya_keys import KOHYA_KEYS, SCRIPT
from core.config.spec import option_specs
from core.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples" / "kohya"
LEAST = {
    "pretrained_model_name_or_path": "some/model",
    "train_data_dir": "dogs",
    "network_module": "networks.lora",
    "max_train_steps": 100,
}


def taken(**keys):
    table = json.dumps({**LEAST, **keys})
    return import_text(table, "config.json", "kohya").completed(None, {"instance_prompt": "sks dog"})


def row(imported, key):
    (found,) = [each for each in imported.findings if each.key == key]
    return found


def test_a_config_in_sections_becomes_a_config():
    flat = flatten(import_file(EXAMPLES / "config.toml").config())
    assert flat["family"] == "stable_diffusion"
    assert flat["instance_data_dir"].endswith("pictures")
    assert flat["instance_prompt"] == "sks dog"
    assert (flat["rank"], flat["lora_alpha"], flat["learning_rate"]) == (32, 16, 2e-4)
    assert (flat["adam_weight_decay"], flat["adam_beta1"], flat["adam_beta2"]) == (0.05, 0.9, 0.99)
    assert flat["validation_prompts"] == ("sks dog on a beach", "sks dog, painting")
    assert flat["max_train_steps"] == 10 * 2 * 10 // 2
    assert flat["random_flip"] is True


def test_a_single_file_as_base_model_asks_for_the_folder_that_describes_it(tmp_path):
    text = (EXAMPLES / "config.toml").read_text().replace("emaonly", "emaonly.safetensors")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match="single_file_config must be given for a single file"):
        import_file(tmp_path / "config.toml").config()


def test_a_data_set_file_beside_it_is_read():
    imported = import_file(EXAMPLES / "network.toml")
    flat = flatten(imported.config())
    assert flat["instance_data_dir"].endswith("10_sks dog")
    assert (flat["instance_prompt"], flat["class_prompt"]) == ("sks dog", "dog")
    assert flat["with_prior_preservation"] is True
    assert (flat["resolution"], flat["train_batch_size"]) == (768, 4)
    assert imported.files["dataset_config"]["datasets"][0]["subsets"][0]["num_repeats"] == 10


def test_a_gui_file_becomes_a_config():
    imported = import_file(EXAMPLES / "gui.json")
    flat = flatten(imported.config())
    assert (flat["resolution"], flat["lr_warmup_steps"], flat["learning_rate"]) == (640, 160, 1e-4)
    assert flat["validation_prompts"] == ("sks dog", "sks dog in snow")
    assert "wandb_api_key" not in imported.kept
    assert row(imported, "network_train_unet_only").standing == "differs"


@pytest.mark.parametrize(
    ("keys", "family", "said"),
    [
        ({"network_module": "networks.lora_flux"}, "flux", True),
        ({"network_module": "networks.lora_sd3"}, "sd3", True),
        ({"sdxl": True}, "sdxl", True),
        ({"v2": "true"}, "stable_diffusion", True),
        ({"pretrained_model_name_or_path": "a/sd_xl_base"}, "sdxl", False),
        ({"resolution": "1024,1024"}, "sdxl", False),
        ({}, "stable_diffusion", False),
    ],
)
def test_the_family_is_told_or_guessed_and_said_to_be_guessed(keys, family, said):
    imported = taken(**keys)
    assert imported.config().model.family == family
    guesses = [each for each in imported.findings if each.key == "family" and each.standing == "differs"]
    assert bool(guesses) is not said


def test_a_command_line_tells_its_family_by_the_script():
    line = "accelerate launch sdxl_train_network.py --pretrained_model_name_or_path a/b --network_dim 4"
    imported = import_text(line, "a.sh")
    assert (imported.tool, imported.options["family"], imported.options["rank"]) == ("kohya", "sdxl", 4)


def test_class_pictures_turn_prior_preservation_on(tmp_path):
    shutil.copytree(EXAMPLES / "pictures", tmp_path / "dogs")
    (tmp_path / "reg" / "1_dog").mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({**LEAST, "reg_data_dir": "reg"}))
    data = import_file(tmp_path / "config.json").config().data
    assert (data.with_prior_preservation, data.class_prompt) == (True, "dog")


OTHER = {"bool": (True, False), "text": ("one", "two"), "float": (0.25, 0.125), "int": (16, 24)}
WORDS = {
    "guidance_scale": (1.0, 4.0),
    "enable_bucket": (False, True),
    "network_module": ("networks.lora_flux", "networks.lora_sd3"),
    "lr_scheduler": ("linear", "cosine"),
    "mixed_precision": ("fp16", "bf16"),
    "log_with": ("tensorboard", "wandb"),
    "optimizer_type": ("Prodigy", "AdamW8bit"),
    "num_processes": (1, 2),
    "optimizer_args": (["weight_decay=0.1"], "weight_decay=0.2 eps=1e-7"),
    "lr_warmup": (10, 20),
    "max_train_epochs": (0, ""),
}
LEFT = {SCRIPT, "max_train_epochs"}
SETS = sorted(key.name for key in KOHYA_KEYS.values() if key.option and key.name not in LEFT)


@pytest.mark.parametrize("name", SETS)
def test_another_value_of_a_mapped_key_is_another_value_of_its_option(name):
    spec = option_specs()[KOHYA_KEYS[name].option]
    more = {"class_prompt": "a dog", "instance_prompt": "sks dog"}
    flux = {"network_module": "networks.lora_flux"} if spec.name == "embedded_guidance" else {}
    configs = [taken(**flux, **{name: value}).completed(None, more) for value in WORDS.get(name, OTHER.get(spec.kind))]
    first, second = (flatten(each.config())[spec.name] for each in configs)
    assert first != second


def test_zero_epochs_leave_the_steps():
    assert taken(max_train_epochs=0).config().training.max_train_steps == 100


def test_a_share_of_the_training_is_of_the_tools_own_length_where_the_file_has_none():
    assert taken(max_train_steps="", lr_warmup=10).config().training.lr_warmup_steps == 160


def test_a_warm_up_below_one_is_a_share_of_the_training():
    assert flatten(taken(lr_warmup_steps=0.1, max_train_steps=200).config())["lr_warmup_steps"] == 20
    assert flatten(taken(lr_warmup_steps=7).config())["lr_warmup_steps"] == 7


@pytest.mark.parametrize("random", [True, False])
def test_random_crops_are_none_in_the_middle(random):
    assert flatten(taken(random_crop=random).config())["center_crop"] is not random


def test_what_is_switched_off_there_is_not_said_to_differ():
    found = taken(color_aug="false", shuffle_caption=False, fp8_base=0)
    assert {row(found, key).standing for key in ("color_aug", "shuffle_caption", "fp8_base")} == {"ignored"}
    assert row(taken(color_aug=True), "color_aug").standing == "differs"


@pytest.mark.parametrize(
    ("keys", "trained", "rate"),
    [
        ({}, True, None),
        ({"network_train_unet_only": True, "text_encoder_lr": 5e-5}, False, None),
        ({"network_train_unet_only": "false", "text_encoder_lr": "5e-5"}, True, 5e-5),
        ({"text_encoder_lr": [1e-5, 1e-5]}, True, 1e-5),
        ({"text_encoder_lr": [1e-5, 3e-5]}, True, 3e-5),
        ({"text_encoder_lr": 0}, False, None),
        ({"unet_lr": 2e-4, "learning_rate": 1e-4}, True, 1e-4),
        ({"optimizer_type": "Prodigy", "text_encoder_lr": 0.5}, True, None),
        ({"network_dropout": 0.1, "text_encoder_lr": 5e-5}, False, None),
    ],
)
def test_text_encoders_are_trained_where_its_scripts_train_them(keys, trained, rate):
    flat = flatten(taken(**keys).config())
    assert (flat["train_text_encoder"], flat["text_encoder_lr"]) == (trained, rate)


def test_what_it_trains_more_of_the_text_encoders_is_said():
    assert "feed-forward" in row(taken(), "network_train_unet_only").words
    assert "the denoiser alone" in row(taken(network_dropout=0.1), "network_train_unet_only").words
    assert row(taken(text_encoder_lr=[1e-5, 3e-5]), "text_encoder_lr").standing == "differs"
