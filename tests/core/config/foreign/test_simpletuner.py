"""SimpleTuner's config.json: in, out, and in again."""

import json
from pathlib import Path

import pytest

from core.config.flat import flatten
from core.config.foreign import READERS, import_file, import_text
from core.config.foreign.kept import kept_of
from core.config.foreign.simpletuner import write
from core.config.foreign.simpletuner_data import backends_of, subject_of
from core.config.foreign.simpletuner_keys import SIMPLETUNER_KEYS
from core.config.foreign.simpletuner_rollout import OLDER_FAMILIES
from core.config.spec import option_specs
from core.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples" / "simpletuner"
FILES = ("config.json", "flux.json")
LEAST = {
    "model_family": "sd1x",
    "pretrained_model_name_or_path": "some/model",
    "instance_data_dir": "cats",
    "instance_prompt": "sks cat",
    "max_train_steps": 100,
}


def taken(**keys):
    return import_text(json.dumps({**LEAST, **keys}), "config.json", "simpletuner")


def row(imported, key):
    (found,) = [each for each in imported.findings if each.key.lstrip("-") == key]
    return found


@pytest.mark.parametrize("name", FILES)
def test_import_and_export_and_import_give_the_same_config_and_keys(name, tmp_path):
    first = import_file(EXAMPLES / name)
    made = write(first.config(), first.kept, first.files)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(json.dumps(made.config))
    (tmp_path / "config" / made.backends_name).write_text(json.dumps(made.backends))
    second = import_file(tmp_path / "config" / "config.json")
    assert second.tool == "simpletuner"
    assert second.config() == first.config()

    def unmapped(imported):
        rows = [each for each in imported.findings if each.given and not each.options]
        return {each.key: each.value for each in rows if "[" not in each.key}

    before, after = unmapped(first), unmapped(second)
    assert {key: after.get(key) for key in before} == before


def test_a_file_goes_out_as_it_came_where_it_means_the_same():
    imported = import_file(EXAMPLES / "config.json")
    before = json.loads((EXAMPLES / "config.json").read_text())
    after = write(imported.config(), imported.kept, imported.files).config
    changed = {key: (value, after.get(key)) for key, value in before.items() if after.get(key) != value}
    assert set(changed) <= {"--optimizer"} | {key for key in before if "scheduled_sampling" in key}
    assert after["--scheduled_sampling_probability"] == 0.0
    assert after["--a_key_of_tomorrow"] == before["--a_key_of_tomorrow"]


def test_a_changed_option_goes_out_under_the_key_of_the_file():
    imported = import_file(EXAMPLES / "config.json").completed(None, {"learning_rate": 3e-5, "max_train_steps": 77})
    after = write(imported.config(), imported.kept, imported.files).config
    assert after["--learning_rate"] == 3e-5
    assert after["--max_train_steps"] == 77
    assert "learning_rate" not in after


def test_what_it_cannot_say_is_told_on_the_way_out():
    options = {"scheduled_sampling_max_step_offset": 2, "scheduled_sampling_probability": 0.5}
    config = taken(lora_dropout=0).completed(None, {**options, "scheduled_sampling_mode": "visited"}).config()
    losses = " ".join(write(config, {}, {}).losses)
    assert "scheduled_sampling_mode = visited cannot be said there" in losses
    assert "scheduled_sampling_target = anchored cannot be said there" in losses
    assert "stride" not in losses


def test_a_list_of_data_sets_that_is_called_as_the_config_gets_a_name_of_its_own():
    imported = taken(data_backend_config="config/config.json")
    made = write(imported.config(), imported.kept, imported.files)
    assert made.config["data_backend_config"] == "config/multidatabackend.json"
    assert made.backends_name == "multidatabackend.json"


def test_what_of_the_data_folder_is_read_here_alone_is_told(tmp_path):
    def losses(**keys):
        return " ".join(write(taken(instance_data_dir=str(tmp_path)).config(), {}, keys).losses)

    (tmp_path / "a.png").touch()
    assert "there" not in losses()
    (tmp_path / "a.txt").touch()
    assert "captions beside the pictures are not read there" in losses()
    read = {"backends": [{"id": "cat", "instance_data_dir": "x", "caption_strategy": "textfile"}]}
    assert "captions" not in losses(**read)
    (tmp_path / "10_sks cat").mkdir()
    assert "folders named N_prompt have no repeats" in losses(**read)


def test_numbers_and_switches_may_be_text_and_names_may_have_dashes():
    plain = taken(lora_rank=4, learning_rate=2e-4, gradient_checkpointing=False, seed=9, max_train_steps=30)
    spelt = taken(
        **{"--lora_rank": "4", "-learning_rate": " 2e-4 ", "--gradient_checkpointing": "false", "--seed": "9.0"},
        max_train_steps="30",
    )
    assert spelt.config() == plain.config()


def test_older_names_mean_the_same():
    new = taken(checkpoint_step_interval=70, checkpoints_total_limit=4, validation_step_interval=20, lora_rank=3)
    old = taken(checkpointing_steps=70, save_total_limit=4, validation_steps=20, rank=3)
    assert old.config() == new.config()
    table = {**LEAST, "flux": "true"}
    del table["model_family"]
    flux = import_text(json.dumps(table), "config.json", "simpletuner")
    assert flux.config().model.family == "flux"


def test_a_key_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"seed must be given once, got 'seed' and '--seed'"):
        taken(**{"seed": 1, "--seed": 2}).config()


OTHER = {
    "bool": (True, False),
    "texts": ("a new prompt", "another"),
    "text": ("some-other-thing", "a-third"),
    "float": (0.25, 0.125),
    "int": (16, 24),
}
WORDS = {
    "model_family": ("sdxl", "sd1x"),
    "flux_lora_target": ("all", "all+ffs"),
    "lr_scheduler": ("linear", "cosine"),
    "mixed_precision": ("fp16", "no"),
    "report_to": ("none", "wandb"),
    "validation_guidance": (3.0, 4.0),
    "resolution": (512, 768),
    "lora_type": ("standard", "lycoris"),
    "optimizer": ("prodigy", "bnb-adamw8bit"),
    "num_processes": (1, 2),
    "flux_guidance_value": (1.0, 4.0),
    "scheduled_sampling_strategy": ("biased_early", "biased_late"),
    "scheduled_sampling_sampler": ("euler", "rk4"),
    "scheduled_sampling_ramp_shape": ("linear", "cosine"),
    "scheduled_sampling_order": (1, 3),
    "scheduled_sampling_max_step_offset": (0, 3),
}
SETS = sorted(key.name for key in SIMPLETUNER_KEYS.values() if key.option and key.name not in OLDER_FAMILIES)


@pytest.mark.parametrize("name", SETS)
def test_another_value_of_a_mapped_key_is_another_value_of_its_option_or_is_told(name):
    spec = option_specs()[SIMPLETUNER_KEYS[name].option]
    values = WORDS.get(name, OTHER.get(spec.kind))
    flux = {"model_family": "flux"} if spec.name == "embedded_guidance" else {}
    first, second = (taken(**{**flux, name: value}) for value in values)
    told = {row(each, name).standing for each in (first, second)}
    if name in {"num_train_epochs"}:
        assert told == {"ignored"}  # max_train_steps decides
        return
    assert flatten(first.config())[spec.name] != flatten(second.config())[spec.name]
    assert told <= {"mapped", "differs"}


def test_every_finding_that_is_not_mapped_says_why():
    for name in FILES:
        findings = import_file(EXAMPLES / name).findings
        assert [each.key for each in findings if each.standing != "mapped" and not each.words] == []


def test_the_data_sets_are_read_where_they_lie_beside_it():
    imported = import_file(EXAMPLES / "config.json")
    data = imported.config().data
    assert (data.instance_data_dir, data.instance_prompt, data.center_crop) == (
        "datasets/cat",
        "a photo of sks cat",
        False,
    )
    alone = import_text((EXAMPLES / "config.json").read_text(), "config.json")
    with pytest.raises(ConfigError, match="instance_data_dir must be given"):
        alone.config()
    assert row(alone, "data_backend_config").standing == "differs"


def test_the_list_of_data_sets_keeps_all_but_what_the_config_says():
    imported = import_file(EXAMPLES / "config.json").completed(None, {"instance_data_dir": "dogs", "center_crop": True})
    before = json.loads((EXAMPLES / "multidatabackend.json").read_text())
    after = backends_of(flatten(imported.config()), before)
    assert after[0] == {**before[0], "instance_data_dir": "dogs", "crop_style": "center"}
    assert after[1] == before[1]
    assert subject_of(backends_of(flatten(imported.config()), [])) == 0


def test_epochs_become_steps_where_the_pictures_can_be_counted(tmp_path):
    (tmp_path / "cats").mkdir()
    for number in range(6):
        (tmp_path / "cats" / f"{number}.png").touch()
    table = {**LEAST, "max_train_steps": 0, "num_train_epochs": 5, "train_batch_size": 4}
    (tmp_path / "config.json").write_text(json.dumps(table))
    imported = import_file(tmp_path / "config.json", "simpletuner")
    assert imported.config().training.max_train_steps == 5 * 2
    told = row(import_text(json.dumps(table), "config.json", "simpletuner"), "num_train_epochs")
    assert (told.standing, "counted" in told.words) == ("differs", True)


def test_problems_name_the_key_that_they_come_from():
    with pytest.raises(ConfigError) as caught:
        taken(lora_rank="many", train_batch_size=[1], model_family="pixart_sigma").config()
    text = str(caught.value)
    assert "rank must be a whole number between 1 and 1024, got 'many' (from the key lora_rank)" in text
    assert "train_batch_size must be" in text
    assert "family must be one of" in text


def test_the_table_names_each_option_once_and_only_real_ones():
    for reader in READERS.values():
        for name, key in reader.keys.items():
            assert name == key.name
            assert not key.option or key.option in option_specs()
            assert key.words or key.standing == "mapped", name


def test_what_is_kept_holds_no_token():
    imported = taken(
        hub_token="hf_0123456789abcdefghij", webhook_config={"url": "https://a.b/c"}, note="see hf_" + "a" * 30
    )
    text = json.dumps(kept_of(imported).section)
    assert "hf_" not in text
    assert "https" not in text
    assert row(imported, "hub_token").shown_value == "(hidden)"


def test_repeats_come_on_top_of_the_first_time(tmp_path):
    (tmp_path / "cats").mkdir()
    for number in range(3):
        (tmp_path / "cats" / f"{number}.png").touch()
    sets = [{"id": "cat", "instance_data_dir": "cats", "instance_prompt": "sks cat", "repeats": 2}]
    (tmp_path / "sets.json").write_text(json.dumps(sets))
    table = {**LEAST, "max_train_steps": 0, "num_train_epochs": 1, "train_batch_size": 1}
    (tmp_path / "config.json").write_text(json.dumps({**table, "data_backend_config": "sets.json"}))
    assert import_file(tmp_path / "config.json").config().training.max_train_steps == 3 * 3


def test_regularisation_pictures_are_not_the_subject():
    prior = {"id": "prior", "instance_data_dir": "people", "is_regularisation_data": True}
    assert subject_of([prior, {"id": "cat", "instance_data_dir": "cats"}]) == 1
    assert subject_of([{**prior, "is_regularisation_data": "false"}]) == 0
