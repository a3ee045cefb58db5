"""What the tools do otherwise with flow matching models, and mostly where the file does not say so."""

import json

import pytest

from core.config.flat import flatten
from core.config.foreign import import_text
from core.config.foreign.simpletuner import write

LINE = (
    "train_dreambooth_lora_{family}.py --pretrained_model_name_or_path {model} --instance_data_dir a "
    "--instance_prompt b --max_train_steps 5 "
)


def simpletuner(family, model="some/model", **keys):
    table = {"pretrained_model_name_or_path": model, "instance_data_dir": "a", "instance_prompt": "b"}
    named = {"model_family": family} if family else {}
    return import_text(json.dumps({**table, "max_train_steps": 5, **named, **keys}), "config.json", "simpletuner")


def diffusers(family, flags="", model="some/model"):
    return import_text(LINE.format(family=family, model=model) + flags, "a.sh")


def kohya(family, **keys):
    told = {"sdxl": True} if family == "sdxl" else {"network_module": f"networks.lora_{family}"}
    table = {"pretrained_model_name_or_path": "some/model", "train_data_dir": "a", "max_train_steps": 5}
    found = import_text(json.dumps({**table, **told, **keys}), "config.json", "kohya")
    return found.completed(None, {"instance_prompt": "b"})


def standing(imported, key):
    """Of a key, whether the file has it or not; None where nothing is said of it."""
    rows = [row for row in imported.findings if row.key.lstrip("-") == key]
    return rows[0].standing if rows else None


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        (simpletuner("flux"), "differs"),
        (simpletuner("sd3"), "differs"),
        (simpletuner(None, sd3=True), "differs"),
        (simpletuner("sdxl"), None),
        (simpletuner("flux", flow_schedule_shift=3), "differs"),
        (simpletuner("flux", flow_schedule_shift="0"), "ignored"),
    ],
)
def test_simpletuner_shifts_timesteps_unless_it_is_told_not_to(imported, expected):
    assert standing(imported, "flow_schedule_shift") == expected


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        (diffusers("flux"), "differs"),
        (diffusers("flux", "--weighting_scheme none"), "differs"),
        (diffusers("flux", "--weighting_scheme logit_normal"), "ignored"),
        (diffusers("sd3"), "differs"),
        (diffusers("sd3", "--weighting_scheme logit_normal"), "differs"),  # and shifted by the scheduler
        (diffusers("sdxl"), None),
    ],
)
def test_the_flux_script_draws_timesteps_uniformly_and_the_sd3_script_shifts_them(imported, expected):
    assert standing(imported, "weighting_scheme") == expected


@pytest.mark.parametrize(
    ("imported", "key", "expected"),
    [
        (kohya("flux"), "timestep_sampling", "differs"),
        (kohya("flux", timestep_sampling="sigmoid"), "timestep_sampling", "ignored"),
        (kohya("flux", timestep_sampling="shift"), "timestep_sampling", "differs"),
        (kohya("flux", model_prediction_type="raw"), "model_prediction_type", "ignored"),
        (kohya("flux"), "model_prediction_type", "differs"),
        (kohya("sd3"), "weighting_scheme", "differs"),
        (kohya("sd3", weighting_scheme="logit_normal"), "weighting_scheme", "ignored"),
        (kohya("sd3"), "timestep_sampling", None),
        (kohya("sdxl"), "timestep_sampling", None),
        (kohya("sdxl"), "weighting_scheme", None),
    ],
)
def test_kohyas_scripts_draw_them_otherwise_unless_they_are_told(imported, key, expected):
    assert standing(imported, key) == expected


def test_how_many_tokens_t5_reads_is_not_only_the_machines_concern():
    assert standing(diffusers("sd3"), "max_sequence_length") == "differs"
    assert standing(diffusers("sd3", "--max_sequence_length 256"), "max_sequence_length") == "ignored"
    assert standing(diffusers("flux"), "max_sequence_length") is None
    assert standing(diffusers("flux", "--max_sequence_length 77"), "max_sequence_length") == "differs"


@pytest.mark.parametrize(
    ("imported", "told"),
    [
        (simpletuner("flux"), 1.0),
        (simpletuner(None, flux="true"), 1.0),
        (simpletuner("flux", flux_guidance_value=4), 4.0),
        (simpletuner("flux", "black-forest-labs/FLUX.1-schnell"), None),
        (simpletuner("sd3"), None),
        (diffusers("flux"), None),
        (diffusers("flux", "--guidance_scale 1"), 1.0),
        (diffusers("flux", "--guidance_scale 1", "FLUX.1-schnell"), None),
        (diffusers("sd3", "--guidance_scale 1"), None),
        (kohya("flux", guidance_scale=1.0), 1.0),
        (kohya("sdxl", guidance_scale=1.0), None),
    ],
)
def test_the_guidance_that_flux_is_told_is_its_tools(imported, told):
    assert flatten(imported.config())["embedded_guidance"] == told


@pytest.mark.parametrize(("own", "there"), [({}, 3.5), ({"embedded_guidance": 2.0}, 2.0)])
def test_simpletuner_is_told_what_it_would_do_otherwise_by_itself(own, there):
    made = write(diffusers("flux").completed(None, own).config(), {}, {}).config
    assert (made["flux_guidance_value"], made["flow_schedule_shift"]) == (there, 0)
    again = simpletuner(**{"family": None, "model": "some/model", **made, "instance_data_dir": "a"})
    assert standing(again, "flow_schedule_shift") == "ignored"
    assert again.config().model.embedded_guidance == there


def test_simpletuner_is_not_told_what_a_model_does_not_read():
    assert "flux_guidance_value" not in write(diffusers("flux", model="a/schnell").config(), {}, {}).config
    assert "flow_schedule_shift" not in write(diffusers("sdxl").config(), {}, {}).config


def test_alpha_left_out_is_4_in_the_flux_script_and_the_rank_in_others():
    flux, sdxl = (diffusers(family, "--rank 16") for family in ("flux", "sdxl"))
    assert [each.config().lora.lora_alpha for each in (flux, sdxl)] == [4, 16]
    assert [standing(each, "lora_alpha") for each in (flux, sdxl)] == ["differs", "mapped"]
    assert standing(diffusers("flux"), "lora_alpha") == "mapped"
    assert diffusers("flux", "--rank 16 --lora_alpha 8").config().lora.lora_alpha == 8


def test_an_alpha_of_0_is_the_rank_in_kohyas_scripts():
    assert kohya("sdxl", network_dim=16, network_alpha=0).config().lora.lora_alpha == 16
    assert kohya("sdxl", network_dim=16, network_alpha="").config().lora.lora_alpha == 1
