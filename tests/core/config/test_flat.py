import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import valid_values

from core.config.flat import difference, flatten, nest, parse_config, parse_text, split
from core.config.spec import option_specs
from core.config.table import value_text
from core.errors import ConfigError

SPECS = option_specs()


@st.composite
def configs(draw):
    """Configurations of any valid values; those that contradict each other are put right."""
    values = {name: draw(valid_values(spec)) for name, spec in SPECS.items()}
    values["family"] = draw(st.sampled_from(["stable_diffusion", "sdxl"]))
    calm = {"scheduled_sampling_mode": "fresh", "scheduled_sampling_reflexflow": draw(st.sampled_from([None, False]))}
    longest = 1 if values["scheduled_sampling_stride"] == "inference" else 999 // values["scheduled_sampling_stride"]
    values["scheduled_sampling_max_step_offset"] = draw(st.integers(0, longest))
    off = values["scheduled_sampling_max_step_offset"] == 0
    values["placebo_of" if off else "input_perturbation"] = None if off else 0.0
    values["pretrained_model_name_or_path"] = "some/model"
    values["single_file_config"] = None
    values["class_data_dir"] = None
    values["aspect_ratio_buckets"] = None
    values["embedded_guidance"] = None
    if values["train_text_encoder"]:
        values["lora_dropout"] = 0.0
    if not values["train_text_encoder"] or values["optimizer"] == "prodigy":
        values["text_encoder_lr"] = None
    values["class_prompt"] = "a photo of a dog"
    return parse_config({**values, **calm})


@given(configs())
def test_flat_and_nested_values_make_the_same_configuration(config):
    flat = flatten(config)
    assert parse_config(nest(flat)) == config
    assert parse_config(flat) == config
    assert nest(flat) == config.model_dump()


@given(configs())
def test_a_configuration_survives_json(config):
    assert parse_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config


@given(st.sampled_from(sorted(SPECS)).flatmap(lambda name: st.tuples(st.just(name), valid_values(SPECS[name]))))
def test_a_value_that_is_written_as_text_is_read_back(pair):
    name, value = pair
    if SPECS[name].nullable and isinstance(value, str) and value.strip().lower() in ("", "unset", "none", "null"):
        return
    assert parse_text(name, value_text(value)) in (value, list(value) if isinstance(value, tuple) else value)


def test_names_are_in_the_order_of_the_blocks_and_hold_the_prefix(parse):
    names = list(flatten(parse()))
    assert names == list(SPECS)
    assert names[0] == "family"
    assert names[-18:] == [name for name in names if name.startswith("scheduled_sampling_")]


def test_every_unknown_name_is_told():
    with pytest.raises(ConfigError) as caught:
        nest({"rank": 4, "ranks": 4, "sed": 1})
    assert [problem.message for problem in caught.value.problems] == [
        "ranks is not an option; did you mean rank?",
        "sed is not an option; did you mean seed?",
    ]


def test_blocks_and_flat_names_can_be_mixed():
    flat, problems = split(
        {"lora": {"rank": 4}, "seed": 1, "scheduled_sampling": {"order": 1}, "scheduled_sampling_stride": 5}
    )
    assert flat == {"rank": 4, "seed": 1, "scheduled_sampling_order": 1, "scheduled_sampling_stride": 5}
    assert problems == ()


def test_the_difference_names_what_differs_with_both_values(parse):
    a, b = parse(), parse(rank=4, scheduled_sampling_max_step_offset=3)
    assert difference(a, a) == {}
    assert difference(a, b) == {"rank": (8, 4), "scheduled_sampling_max_step_offset": (0, 3)}
    assert difference(b, a) == {"rank": (4, 8), "scheduled_sampling_max_step_offset": (3, 0)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rank", "4", 4),
        ("rank", " 4 ", 4),
        ("rank", "4.5", "4.5"),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "fast", "fast"),
        ("center_crop", "False", False),
        ("center_crop", "on", True),
        ("center_crop", "maybe", "maybe"),
        ("scheduled_sampling_reflexflow", "unset", None),
        ("scheduled_sampling_reflexflow", "false", False),
        ("scheduled_sampling_stride", "50", 50),
        ("scheduled_sampling_stride", "inference", "inference"),
        ("snr_gamma", "none", None),
        ("instance_prompt", "none", "none"),
        ("class_prompt", "", None),
        ("validation_prompts", '["a", "b"]', ["a", "b"]),
        ("validation_prompts", "a\n\n b ", ("a", "b")),
        ("validation_prompts", "", ()),
        ("validation_prompts", "[a", "[a"),
        ("not_an_option", "4", "4"),
    ],
)
def test_texts_are_read_by_the_type_of_their_option(name, text, value):
    assert parse_text(name, text) == value
    assert type(parse_text(name, text)) is type(value)


def test_a_whole_number_is_taken_for_a_fraction(parse):
    config = parse(learning_rate=1, lora_alpha=16)
    assert (config.training.learning_rate, config.lora.lora_alpha) == (1.0, 16.0)
    assert type(config.lora.lora_alpha) is float
