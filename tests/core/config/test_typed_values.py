"""A value of the wrong type in a file is told, never guessed; text that was typed is read by the option's type."""

import json

import pytest

from core.config.presets import resolve_config
from core.errors import ConfigError

PREFIX = "scheduled_sampling_"
BOOLEANS = ("center_crop", f"{PREFIX}reflexflow")
PLACES = {"center_crop": ("data", "center_crop"), f"{PREFIX}reflexflow": ("scheduled_sampling", "reflexflow")}
FORMS = ("flat.json", "nested.json", "flat.toml", "nested.toml")


def write(folder, form, name, block, field, value):
    """A file that states one option."""
    nested, path = form.startswith("nested"), folder / form
    if form.endswith(".json"):
        path.write_text(json.dumps({block: {field: value}} if nested else {name: value}))
    else:
        path.write_text(f"[{block}]\n{field} = {json.dumps(value)}" if nested else f"{name} = {json.dumps(value)}")
    return path


def refused(*args, **kwargs) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_config(*args, **kwargs)
    (problem,) = caught.value.problems
    return problem.message


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["false", "False", "true", "0", ""])
@pytest.mark.parametrize("name", BOOLEANS)
def test_a_word_in_a_file_is_no_switch(tmp_path, form, name, text):
    message = refused(write(tmp_path, form, name, *PLACES[name], text), base="demo-flow")
    assert message.startswith(f"{name} must be true")
    assert message.endswith(f"got {text!r}")


@pytest.mark.parametrize("form", FORMS)
def test_a_switch_in_a_file_is_what_it_says(tmp_path, form):
    for value in (False, True):
        path = write(tmp_path, form, "center_crop", "data", "center_crop", value)
        assert resolve_config(path).data.center_crop is value
        path = write(tmp_path, form, f"{PREFIX}reflexflow", "scheduled_sampling", "reflexflow", value)
        assert resolve_config(path, base="demo-flow").reflexflow_on is value


@pytest.mark.parametrize(("text", "value"), [("false", False), ("False", False), ("true", True), ("unset", None)])
def test_a_switch_that_is_typed_is_read(text, value):
    config = resolve_config("demo-flow", overrides={f"{PREFIX}reflexflow": text})
    assert config.scheduled_sampling.reflexflow is value
    assert config.reflexflow_on is (value is not False)


def test_what_is_typed_for_a_switch_and_is_none_is_told():
    assert refused("demo", overrides={"center_crop": "flase"}) == "center_crop must be true or false, got 'flase'"


@pytest.mark.parametrize("form", FORMS)
def test_text_in_a_file_is_no_number_and_typed_text_is_one(tmp_path, form):
    message = refused(write(tmp_path, form, "rank", "lora", "rank", "4"))
    assert message == "rank must be a whole number between 1 and 1024, got '4'"
    message = refused(write(tmp_path, form, f"{PREFIX}probability", "scheduled_sampling", "probability", "0.5"))
    assert message == f"{PREFIX}probability must be a number between 0 and 1, got '0.5'"
    config = resolve_config("demo", overrides={"rank": "4", f"{PREFIX}probability": "0.5"})
    assert (config.lora.rank, config.scheduled_sampling.probability) == (4, 0.5)


@pytest.mark.parametrize("form", FORMS)
def test_text_for_the_stride_is_a_word_or_an_error(tmp_path, form):
    path = write(tmp_path, form, f"{PREFIX}stride", "scheduled_sampling", "stride", "inference")
    assert resolve_config(path).scheduled_sampling.stride == "inference"
    path = write(tmp_path, form, f"{PREFIX}stride", "scheduled_sampling", "stride", "50")
    assert refused(path).startswith(f"{PREFIX}stride must be a whole number between 1 and 1000 or inference, got '50'")
