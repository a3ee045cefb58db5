import math

import pytest
from pydantic import ValidationError

from core.config.flat import flatten, parse_config
from core.config.problems import problems_of
from core.config.run import RunConfig
from core.config.spec import REQUIRED, option_specs
from core.errors import ConfigError

REACH = (
    "scheduled_sampling_max_step_offset × scheduled_sampling_stride must be at most 999 "
    "(the length of the noise schedule), got 11 × 100 = 1100; lower one of them"
)

LONG = {"scheduled_sampling_max_step_offset": 3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"scheduled_sampling_probability": 1.5},
            "scheduled_sampling_probability must be between 0 and 1, got 1.5",
        ),
        (
            {"scheduled_sampling_max_offset": 3},
            "scheduled_sampling_max_offset is not an option; did you mean scheduled_sampling_max_step_offset?",
        ),
        ({"stride": 3}, "stride is not an option; did you mean scheduled_sampling_stride?"),
        ({"validation_prompt": "x"}, "validation_prompt is not an option; did you mean validation_prompts?"),
        ({"zzzz": 1}, "zzzz is not an option"),
        (
            {"scheduled_sampling_sampler": "heun"},
            "scheduled_sampling_sampler must be one of unipc, euler, dpm, rk4, got 'heun'",
        ),
        ({"scheduled_sampling_max_step_offset": 11, "scheduled_sampling_stride": 100}, REACH),
        (
            {"scheduled_sampling_stride": 0},
            "scheduled_sampling_stride must be a whole number between 1 and 1000 or inference, got 0",
        ),
        (
            {"scheduled_sampling_reflexflow": "false"},
            "scheduled_sampling_reflexflow must be true, false or unset, got 'false'",
        ),
        ({"rank": "4"}, "rank must be a whole number between 1 and 1024, got '4'"),
        ({"rank": True}, "rank must be a whole number between 1 and 1024, got true"),
        ({"rank": 4.0}, "rank must be a whole number between 1 and 1024, got 4.0"),
        ({"rank": 0}, "rank must be between 1 and 1024, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and at most 1, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0 and at most 1, got nan"),
        ({"lora_alpha": math.inf}, "lora_alpha must be a number above 0 and at most 10000, got inf"),
        ({"learning_rate": "1e-4"}, "learning_rate must be a number above 0 and at most 1, got '1e-4'"),
        ({"resolution": 100}, "resolution must be a multiple of 8 between 8 and 4096, got 100"),
        ({"resolution": 64.5}, "resolution must be a whole number, a multiple of 8 between 8 and 4096, got 64.5"),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1, got 1.0"),
        ({"center_crop": 1}, "center_crop must be true or false, got 1"),
        ({"instance_prompt": "  "}, "instance_prompt must be a text that is not blank, got '  '"),
        ({"instance_data_dir": "a\0b"}, "instance_data_dir must be a text that is not blank, got 'a\\x00b'"),
        ({"class_prompt": 3}, "class_prompt must be a text that is not blank, or unset, got 3"),
        ({"validation_prompts": ["a", ""]}, "validation_prompts must be a list of texts that are not blank, got ''"),
        ({"validation_prompts": "a"}, "validation_prompts must be a list of texts that are not blank, got 'a'"),
        ({"snr_gamma": -1.0}, "snr_gamma must be above 0 and at most 1000, or unset, got -1.0"),
        ({"instance_prompt": None}, "instance_prompt must be a text that is not blank, got nothing"),
        ({"lora": 3}, "lora must be a table of options, got 3"),
        ({"lora": {"seed": 3}}, "seed must be in [training], got it in [lora]; move it"),
        ({"rank": 4, "lora": {"rank": 5}}, "rank must be given once, got it inside [lora] and outside"),
        (
            {"scheduled_sampling": {"scheduled_sampling_order": 1}},
            "scheduled_sampling_order must be written order inside [scheduled_sampling], got the prefix twice",
        ),
    ],
)
def test_one_mistake_gets_one_sentence_that_names_the_option(complaints, values, message):
    assert complaints(values) == [message]


@pytest.mark.parametrize(
    ("values", "beginning"),
    [
        ({"with_prior_preservation": True}, "class_prompt must be given"),
        ({"class_data_dir": "pictures/"}, "class_data_dir must be another folder than instance_data_dir"),
        ({"revision": "main"}, "revision must be unset for an embedded base model"),
        ({"variant": "fp16"}, "variant must be unset for an embedded base model"),
        ({"family": "flux", "snr_gamma": 5.0}, "snr_gamma must be unset for flux"),
        (
            {**LONG, "scheduled_sampling_reflexflow": True},
            "scheduled_sampling_reflexflow must be false or unset for embedded, which is not flow matching, got true",
        ),
        (
            {"scheduled_sampling_stride": "inference", "scheduled_sampling_max_step_offset": 29},
            "scheduled_sampling_max_step_offset must be at most validation_num_inference_steps (28)",
        ),
        (
            {**LONG, "scheduled_sampling_mode": "visited", "scheduled_sampling_sampler": "rk4"},
            "scheduled_sampling_sampler must be unipc, euler or dpm with scheduled_sampling_mode = visited",
        ),
        (
            {**LONG, "scheduled_sampling_mode": "visited", "scheduled_sampling_guidance_scale": 2.0},
            "scheduled_sampling_guidance_scale must be 1 with scheduled_sampling_mode = visited",
        ),
        (
            {**LONG, "scheduled_sampling_mode": "visited", "lora_dropout": 0.1},
            "lora_dropout must be 0 with scheduled_sampling_mode = visited",
        ),
    ],
)
def test_options_that_contradict_each_other_are_named(complaints, values, beginning):
    (message,) = complaints(values)
    assert message.startswith(beginning)


@pytest.mark.parametrize(
    "values",
    [
        {"scheduled_sampling_mode": "visited", "scheduled_sampling_sampler": "rk4"},
        {"scheduled_sampling_mode": "visited", "scheduled_sampling_guidance_scale": 2.0},
        {"scheduled_sampling_mode": "visited", "lora_dropout": 0.1},
        {"scheduled_sampling_reflexflow": True},
        {"scheduled_sampling_stride": "inference", "validation_num_inference_steps": 1},
        {"scheduled_sampling_stride": 1000},
    ],
)
def test_rollout_options_that_contradict_each_other_are_kept_while_rollout_is_off(parse, complaints, values):
    off = flatten(parse(**values, scheduled_sampling_max_step_offset=0))
    assert values.items() <= off.items()
    never = {"scheduled_sampling_probability": 0.0, "scheduled_sampling_max_step_offset": 2}
    assert len(complaints(values, **never)) == 1


def test_single_and_contradicting_options_are_told_together(complaints):
    messages = complaints(
        scheduled_sampling_max_step_offset=11,
        scheduled_sampling_stride=100,
        scheduled_sampling_probability=1.5,
        scheduled_sampling_sampler="heun",
        with_prior_preservation=True,
        rank=0,
        max_step_offsett=1,
    )
    named = " ".join(messages)
    assert len(messages) == 6
    assert REACH in messages
    assert all(
        word in named
        for word in ("probability must", "sampler must", "class_prompt must", "rank must", "max_step_offsett is not")
    )


def test_an_option_that_is_wrong_by_itself_is_not_judged_with_others(complaints):
    messages = complaints(scheduled_sampling_max_step_offset=-1, scheduled_sampling_stride=100)
    assert messages == ["scheduled_sampling_max_step_offset must be between 0 and 1000, got -1"]


def test_what_must_be_given_is_asked_for_by_name():
    with pytest.raises(ConfigError) as caught:
        parse_config({})
    assert [problem.message for problem in caught.value.problems] == [
        "pretrained_model_name_or_path must be given",
        "instance_data_dir must be given",
        "instance_prompt must be given",
    ]


def test_the_last_timestep_depends_on_the_family(parse, complaints):
    reach = {"scheduled_sampling_max_step_offset": 10, "scheduled_sampling_stride": 100}
    assert parse(family="sd3", **reach).last_timestep == 1000
    assert "at most 999" in complaints(reach)[0]


def test_a_rollout_that_fits_no_noise_schedule_is_told_once_for_the_family_or_for_any(complaints):
    reach = {"scheduled_sampling_max_step_offset": 11, "scheduled_sampling_stride": 100}
    assert "at most 999" in complaints(reach)[0]
    assert "at most 1000" in complaints(reach, family="flux")[0]
    assert [message.split(",")[0][:60] for message in complaints(reach, rank=0)] == [
        "rank must be between 1 and 1024",
        REACH[:60],
    ]
    messages = complaints(reach, family="pixart")
    assert len(messages) == 2
    assert "at most 1000" in messages[1]


def test_models_made_by_hand_are_checked_too():
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(
            {
                "model": {"pretrained_model_name_or_path": "embedded"},
                "data": {"instance_data_dir": "a", "instance_prompt": "b", "with_prior_preservation": True},
                "lora": {"rank": 0},
                "extra": {},
            }
        )
    assert [problem.option for problem in problems_of(caught.value)] == ["rank", "extra"]
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate({"data": 3})
    assert [problem.message for problem in problems_of(caught.value)] == [
        "model must be given, got no such block of options",
        "data must be a table of options, got 3",
    ]


@pytest.mark.parametrize("name", list(option_specs()))
def test_every_option_refuses_a_value_of_another_type_by_its_own_name(complaints, name):
    (message,) = complaints({name: {"not": "a value"}})
    assert message.startswith(f"{name} must be ")
    assert message.endswith("got {'not': 'a value'}")


@pytest.mark.parametrize("name", [name for name, spec in option_specs().items() if spec.kind in ("int", "float")])
def test_every_number_is_bounded_on_both_sides(complaints, name):
    for value in (-(10.0**30), 10.0**30):
        number = int(value) if option_specs()[name].kind == "int" else value
        assert complaints({name: number})[0].startswith(f"{name} must be ")


def test_long_values_are_cut_in_messages(complaints):
    (message,) = complaints(lr_scheduler="x" * 5000)
    assert len(message) < 250


def test_defaults_keep_their_own_rules(parse):
    defaults = {name: spec.default for name, spec in option_specs().items() if spec.default is not REQUIRED}
    assert parse(**defaults) == parse()
