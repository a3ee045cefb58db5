"""diffusers' DreamBooth LoRA command lines."""

from pathlib import Path

import pytest

from core.config.flat import flatten
from core.config.foreign import import_file, import_text
from core.config.foreign.diffusers_cli import DIFFUSERS_KEYS, SCRIPT
from core.config.foreign.shell import LAUNCH
from core.config.spec import option_specs
from core.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples" / "diffusers"
LEAST = (
    "accelerate launch {script} --pretrained_model_name_or_path some/model --instance_data_dir dogs "
    "--instance_prompt 'sks dog' --max_train_steps 100 "
)


def taken(flags="", script="train_dreambooth_lora.py"):
    return import_text(LEAST.format(script=script) + flags, "a.sh")


def test_a_script_file_becomes_a_config():
    flat = flatten(import_file(EXAMPLES / "sd15.sh").config())
    assert flat["family"] == "stable_diffusion"
    assert flat["pretrained_model_name_or_path"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert flat["instance_data_dir"] == "data/dog"
    assert flat["class_data_dir"] == "data/dog class"
    assert flat["with_prior_preservation"] is True
    assert flat["mixed_precision"] == "fp16"
    assert flat["validation_prompts"] == ("A photo of sks dog in a bucket; 50 % off & $5",)
    assert (flat["rank"], flat["lora_alpha"]) == (4, 4)


@pytest.mark.parametrize(
    ("script", "family", "resolution", "rate", "decay"),
    [
        ("train_dreambooth_lora.py", "stable_diffusion", 512, 5e-4, 1e-2),
        ("train_dreambooth_lora_sdxl.py", "sdxl", 1024, 1e-4, 1e-4),
        ("examples/dreambooth/train_dreambooth_lora_sd3.py", "sd3", 512, 1e-4, 1e-4),
        ("train_dreambooth_lora_flux.py", "flux", 512, 1e-4, 1e-4),
        ("train_dreambooth_lora_sdxl_advanced.py", "sdxl", 1024, 1e-4, 1e-4),
    ],
)
def test_the_script_decides_family_and_defaults(script, family, resolution, rate, decay):
    flat = flatten(taken(script=script).config())
    assert (flat["family"], flat["resolution"]) == (family, resolution)
    assert (flat["learning_rate"], flat["adam_weight_decay"]) == (rate, decay)
    assert (flat["train_batch_size"], flat["lr_warmup_steps"]) == (4, 500)


def test_another_script_is_told():
    imported = taken(script="train_dreambooth_lora_hidream.py")
    (row,) = [row for row in imported.findings if row.key == SCRIPT]
    assert row.standing == "differs"


def test_a_missing_instance_prompt_is_asked_for():
    with pytest.raises(ConfigError, match="instance_prompt must be given"):
        import_text("python train_dreambooth_lora.py --instance_data_dir a --max_train_steps 5", "a.sh").config()


OTHER = {"text": ("one", "two"), "texts": ("one", "two"), "float": ("0.25", "0.5"), "int": ("16", "24")}
WORDS = {
    "aspect_ratio_buckets": ("512,512", "448,576"),
    SCRIPT: ("train_dreambooth_lora.py", "train_dreambooth_lora_flux.py"),
    "lr_scheduler": ("linear", "cosine"),
    "mixed_precision": ("fp16", "bf16"),
    LAUNCH + "mixed_precision": ("fp16", "bf16"),
    "report_to": ("none", "wandb"),
    "optimizer": ("prodigy", "AdamW"),
    "use_8bit_adam": ("", None),
    "guidance_scale": ("1", "3.5"),
    LAUNCH + "num_processes": ("1", "2"),
}
SETS = sorted(key.name for key in DIFFUSERS_KEYS.values() if key.option and key.name != "num_train_epochs")


@pytest.mark.parametrize("name", SETS)
def test_another_value_of_a_mapped_flag_is_another_value_of_its_option(name):
    spec = option_specs()[DIFFUSERS_KEYS[name].option]
    values = WORDS.get(name, OTHER.get(spec.kind, ("", None)))

    def config(value):
        if name == SCRIPT:
            return flatten(taken(script=value).config())
        if name.startswith(LAUNCH):
            return flatten(taken(script=f"--{name.removeprefix(LAUNCH)} {value} train_dreambooth_lora.py").config())
        if spec.name == "embedded_guidance":
            return flatten(taken(f"--{name} {value}", "train_dreambooth_lora_flux.py").config())
        prior = "--class_prompt dog " if name != "class_prompt" else ""
        prior += "--train_text_encoder " if name == "text_encoder_lr" else ""
        return flatten(taken(prior + ("" if value is None else f"--{name} {value}")).config())

    assert config(values[0])[spec.name] != config(values[1])[spec.name]


def test_epochs_become_steps_where_the_pictures_can_be_counted(tmp_path):
    (tmp_path / "dogs").mkdir()
    for number in range(5):
        (tmp_path / "dogs" / f"{number}.jpg").touch()
    line = LEAST.format(script="train_dreambooth_lora.py").replace("--max_train_steps 100", "--num_train_epochs 3")
    (tmp_path / "a.sh").write_text(line + "--train_batch_size 2")
    assert import_file(tmp_path / "a.sh").config().training.max_train_steps == 3 * 3


@pytest.mark.parametrize(
    ("flags", "optimizer"),
    [
        ("--use_8bit_adam --optimizer AdamW", "adamw_8bit"),
        ("--optimizer AdamW --use_8bit_adam", "adamw_8bit"),
        ("--optimizer prodigy --use_8bit_adam", "prodigy"),
        ("--optimizer lion", "adamw"),
    ],
)
def test_eight_bits_are_read_with_adamw_in_any_order(flags, optimizer):
    assert taken(flags).config().training.optimizer == optimizer


@pytest.mark.parametrize(
    ("script", "flags", "trained", "rate"),
    [
        ("train_dreambooth_lora.py", "", False, None),
        ("train_dreambooth_lora.py", "--train_text_encoder", True, None),
        ("train_dreambooth_lora_sdxl.py", "--train_text_encoder", True, 5e-6),
        ("train_dreambooth_lora_flux.py", "--train_text_encoder --text_encoder_lr 1e-5", True, 1e-5),
        ("train_dreambooth_lora_flux.py", "--text_encoder_lr 1e-5", False, None),
        ("train_dreambooth_lora_sdxl.py", "--train_text_encoder --optimizer prodigy", True, None),
    ],
)
def test_text_encoders_are_trained_as_in_its_scripts(script, flags, trained, rate):
    flat = flatten(taken(flags, script).config())
    assert (flat["train_text_encoder"], flat["text_encoder_lr"]) == (trained, rate)
