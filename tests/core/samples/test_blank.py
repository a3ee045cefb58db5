"""Black and flat pictures are told from those that show something."""

import numpy as np
import pytest
from PIL import Image

from core.samples.blank import blank, blank_text


def noisy(mean, spread):
    values = np.random.default_rng(3).normal(mean, spread, (32, 32, 3)).clip(0, 255)
    return Image.fromarray(values.astype(np.uint8))


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (Image.new("RGB", (64, 64)), "black"),
        (Image.new("L", (64, 64)), "black"),
        (Image.new("RGB", (64, 64), "white"), "flat"),
        (Image.new("RGB", (64, 64), (120, 3, 200)), "flat"),
        (noisy(128, 1.0), "flat"),
        (noisy(128, 12.0), None),
        (noisy(10, 8.0), None),
    ],
)
def test_what_a_picture_shows(picture, found):
    assert blank(picture) == found


def test_one_small_thing_is_something():
    picture = Image.new("RGB", (64, 64))
    picture.paste("white", (20, 20, 30, 30))
    assert blank(picture) is None


def test_the_sentence_names_the_picture():
    assert blank_text("black", 5, "p00-s42.png") == "The sample p00-s42.png at step 5 is black: it shows nothing"
    assert blank_text("flat", 5, "p.png") == "The sample p.png at step 5 is one flat colour: it shows nothing"
