import pytest

from core.config.flat import parse_text
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.config.table import markdown_table, option_rows

ROLLOUT = "scheduled_sampling"


def test_every_field_of_every_block_has_one_row():
    fields = [field for block in RunConfig.model_fields.values() for field in block.annotation.model_fields]
    assert len(option_rows()) == len(fields) == len({row.flat_name for row in option_rows()})


@pytest.mark.parametrize("row", option_rows(), ids=lambda row: row.flat_name)
def test_a_row_explains_its_option(row):
    assert row.help.endswith(".")
    assert row.help[0].isupper() or row.help.startswith("fresh")
    assert row.label
    assert len(row.label) < 30
    assert 20 < len(row.help) < 330
    assert row.type_text
    assert row.default_text
    if row.kind in ("int", "float"):
        assert row.minimum is not None
        assert row.maximum is not None
    assert (row.kind in ("choice", "int_or_choice")) == bool(row.choices)
    if row.kind == "int" and row.flat_name not in ("seed", "validation_seed", "rank", "scheduled_sampling_order"):
        assert row.unit


def test_few_options_are_basic_and_all_of_the_rollout():
    assert 5 <= sum(row.basic for row in option_rows() if row.block != ROLLOUT) <= 12
    assert all(row.basic for row in option_rows() if row.block == ROLLOUT)


def test_a_default_can_be_typed_as_it_is_shown():
    for row in option_rows():
        if row.default_text != "required":
            typed = parse_text(row.flat_name, row.default_text)
            assert (tuple(typed) if isinstance(typed, list) else typed) == row.default


def test_only_what_cannot_be_guessed_has_to_be_given():
    required = [row.flat_name for row in option_rows() if row.default_text == "required"]
    assert required == ["pretrained_model_name_or_path", "instance_data_dir", "instance_prompt"]


def test_the_markdown_table_has_a_line_an_option():
    lines = markdown_table().splitlines()
    assert len(lines) == 2 + len(option_specs())
    assert {line.count("|") - 2 * line.count("\\|") for line in lines} == {5}
    assert len(markdown_table(ROLLOUT).splitlines()) == 2 + 18
    stride = next(line for line in lines if "_stride`" in line)
    assert "whole number between 1 and 1000, or inference (timesteps)" in stride
    assert "In this version" not in stride


def test_help_tells_what_people_overlook():
    text = {row.flat_name: row.help for row in option_rows()}
    assert "1 in K+1" in text["scheduled_sampling_probability"]
    assert "K timesteps only" in text["scheduled_sampling_stride"]
    assert "not unset" in text["scheduled_sampling_prob_start"]
    assert "grid of the validation sampler" in text["scheduled_sampling_stride"]
    assert "outweighs" in text["scheduled_sampling_reflexflow_beta1"]
    assert "by itself" in text["scheduled_sampling_reflexflow"]
    assert "two forwards" in text["scheduled_sampling_guidance_scale"]
    assert "pulls towards training images" in text["scheduled_sampling_target"]
    assert "level shown on the page" in text["scheduled_sampling_target"]
    assert "no extra forwards" in text["scheduled_sampling_mode"]
    assert "only timestep, picture and noise of the anchor are paired" in text["scheduled_sampling_mode"]
    assert "embedded-flow" in text["pretrained_model_name_or_path"]
