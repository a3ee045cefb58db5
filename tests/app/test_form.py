"""Options model <-> inputs."""

import re
from pathlib import Path

import pytest

from app.form import (
    config_of,
    css_text,
    explanation,
    from_input,
    heading,
    make_input,
    marks,
    read_form,
    to_input,
    try_config,
    values_of,
)  # fmt: skip
from app.paths import AllowedPaths
from core.config import supported
from core.config.flat import flatten, parse_config
from core.config.presets import list_presets
from core.config.spec import option_specs
from core.errors import Problem

SPECS = option_specs()
PATHS = AllowedPaths(Path("workspace"))


def form_with(config, **raw):
    values = dict(zip(SPECS, values_of(config), strict=True))
    return list({**values, **raw}.values())


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_survives_the_form(name):
    config = list_presets()[name].config
    assert config_of(values_of(config), PATHS) == config


@pytest.mark.parametrize("name", SPECS)
def test_every_option_has_a_labelled_input_with_its_help(name):
    made = make_input(SPECS[name])
    assert made.label == heading(SPECS[name])
    assert SPECS[name].help in made.info
    assert made.elem_id == f"opt-{name}"
    assert made.interactive


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.unit])
def test_units_stand_in_the_label(name):
    assert heading(SPECS[name]).endswith(f"({SPECS[name].unit})")


def test_what_a_version_supports_stands_under_the_input(monkeypatch):
    monkeypatch.setattr(
        supported, "LIMITS", (supported.Limit("rank", "at most 2", lambda config: config.lora.rank <= 2),)
    )
    assert explanation(SPECS["rank"]).endswith("In this version: at most 2.")
    assert "In this version" not in explanation(SPECS["family"])


def test_unset_goes_both_ways_for_each_option_that_knows_it(demo):
    required = {name: flatten(demo)[name] for name, spec in SPECS.items() if not spec.nullable}
    config = parse_config(
        required | {name: None for name, spec in SPECS.items() if spec.nullable} | {"with_prior_preservation": False}
    )
    assert config_of(values_of(config), PATHS) == config


def test_reflexflow_has_three_states(demo):
    seen = {raw: from_input(SPECS["scheduled_sampling_reflexflow"], raw) for raw in ("unset", "on", "off")}
    assert seen == {"unset": None, "on": True, "off": False}


def test_stride_takes_a_number_or_the_word(demo):
    assert config_of(form_with(demo, scheduled_sampling_stride=" 25 "), PATHS).scheduled_sampling.stride == 25
    config = config_of(form_with(demo, scheduled_sampling_stride="inference"), PATHS)
    assert config.scheduled_sampling.stride == "inference"


def test_prompts_are_one_a_line_and_blank_lines_are_none(demo):
    config = config_of(form_with(demo, validation_prompts="a cat\n\n  a dog \n"), PATHS)
    assert config.validation.validation_prompts == ("a cat", "a dog")
    assert to_input(SPECS["validation_prompts"], ("a cat", "a dog")) == "a cat\na dog"


def test_all_problems_of_a_form_come_at_once_each_with_its_option(demo):
    raw = form_with(demo, scheduled_sampling_probability=1.5, rank=0, learning_rate=None, seed=2.5)
    config, problems = try_config(raw, PATHS)
    assert config is None
    assert {problem.option for problem in problems} == {
        "scheduled_sampling_probability",
        "rank",
        "learning_rate",
        "seed",
    }


def test_a_whole_number_typed_with_a_point_is_taken(demo):
    assert config_of(form_with(demo, rank=4.0), PATHS).lora.rank == 4


def test_problems_stand_at_their_fields_and_in_a_summary():
    text = marks(
        [Problem("rank", "rank must be at least 1, got 0"), Problem("seed", "seed must be a whole number, got 2.5")]
    )
    assert "#opt-rank::after" in text
    assert "#opt-seed::after" in text
    assert 'role="alert"' in text
    assert "2 settings need" in text
    assert marks([]) == ""


def test_problem_texts_cannot_leave_the_style_sheet_or_the_page():
    evil = '"}</style><script>alert(1)</script>'
    text = marks([Problem("rank", evil), Problem("x{}</style>", "y")])
    assert "<script>" not in text
    assert text.count("</style>") == 1
    assert not re.search(r'[<>"{}]', css_text(evil)[1:-1])


def test_reading_a_form_keeps_the_order_of_the_options(demo):
    assert list(read_form(values_of(demo))) == list(SPECS)
