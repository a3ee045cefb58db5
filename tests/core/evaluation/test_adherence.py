"""Asked-for backgrounds: found in prompts, held against the border, read from the base model's folder."""

import json

import pytest
import torch

from assets.build.vocabulary import BACKGROUNDS
from core.config.paths import model_path
from core.errors import DataError
from core.evaluation.adherence import FILE, adherence, asked_for, read_backgrounds

NAMED = {"white": (1.0, 1.0, 1.0), "blue": (0.0, 0.0, 1.0), "light gray": (0.8, 0.8, 0.8)}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a noto emoji of a fox on a blue background", "blue"),
        ("Blue  background, a fox", "blue"),
        ("a white cat on a light gray background", "light gray"),
        ("a white background, not a blue background", "white"),
        ("a blue fox", None),
        ("a fox on a green background", None),
        ("an offwhite background", None),
        ("a white backgrounds", None),
        ("", None),
    ],
)
def test_a_prompt_asks_for_a_background_that_is_named(prompt, name):
    assert asked_for(prompt, NAMED) == name


def test_a_model_that_names_none_is_asked_for_none():
    assert asked_for("a fox on a blue background", {}) is None
    assert adherence(torch.zeros(1, 3, 16, 16), ["a fox on a blue background"], {}) is None


def test_only_pictures_that_were_asked_for_a_background_count_each_against_its_own():
    pictures = torch.tensor([1.0, 0.3, 1.0]).view(3, 1, 1, 1).expand(3, 3, 16, 16)
    prompts = ["on a white background", "a fox", "on a blue background"]
    assert adherence(pictures, prompts, NAMED) == pytest.approx((0 + 2 / 3) / 2)
    assert adherence(pictures[:2], prompts[:2], NAMED) == 0.0
    assert adherence(pictures[1:2], prompts[1:2], NAMED) is None


def test_a_prompt_for_every_picture_is_needed():
    with pytest.raises(ValueError, match="as many as pictures"):
        adherence(torch.ones(2, 3, 16, 16), ["on a white background"], NAMED)


@pytest.mark.parametrize("name", ["embedded", "embedded-flow"])
def test_the_embedded_bases_name_the_backgrounds_that_they_were_trained_with(name):
    found = read_backgrounds(model_path(name))
    assert list(found) == list(BACKGROUNDS)
    assert {key: tuple(round(255 * part) for part in colour) for key, colour in found.items()} == BACKGROUNDS


def test_other_base_models_have_none(tmp_path):
    assert read_backgrounds(tmp_path) == {}
    assert read_backgrounds("someone/some-model") == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"red": [1, 2]}', '{"red": [1, 2, 300]}', '{"red": 5}', '{"red": ["a", 1, 2]}']
)
def test_a_file_that_is_no_list_of_colours_is_refused_by_name(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DataError, match=r"backgrounds\.json must map colour names"):
        read_backgrounds(tmp_path)


def test_colours_are_read_as_shares(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"red": [255, 51, 0]}))
    assert read_backgrounds(tmp_path) == {"red": (1.0, pytest.approx(0.2), 0.0)}
