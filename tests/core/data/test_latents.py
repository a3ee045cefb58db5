"""Crops, flips and prompts: each variant of a picture and each distinct prompt is encoded once."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import SIDE, save_picture

from core.data.crops import CROPS, cuts
from core.data.dreambooth import scan_folder
from core.data.latents import encode, to_tensor


def gradient(width, height):
    """Red rises from left to right, green from top to bottom."""
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], -1).astype(np.uint8))


def crops(picture, side, center_crop):
    return [cut.of(picture) for cut in cuts(picture.size, (side, side), center_crop)]


def encoded(folder, **changes):
    values = {"size": (SIDE, SIDE), "center_crop": True, "random_flip": False, "progress": lambda done, total: None}
    asked = []

    def prompts(texts):
        asked.append(list(texts))
        return torch.tensor([[[float(len(text))] * 3] * 2 for text in texts])

    items = scan_folder(folder, "a sks cat").items
    empty = torch.full((2, 3), -1.0)
    return encode(items, lambda pictures: pictures.double(), prompts, lambda: empty, **{**values, **changes}), asked


def test_eight_bits_become_minus_one_to_one():
    picture = Image.fromarray(np.array([[[0, 255, 0]], [[255, 0, 255]]], np.uint8))
    assert to_tensor(picture).tolist() == [[[-1], [1]], [[1], [-1]], [[-1], [1]]]


@pytest.mark.parametrize("center_crop", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (40, 40), (7, 7), (1, 1)])
def test_a_square_picture_has_one_crop(size, center_crop):
    (crop,) = crops(gradient(*size), 16, center_crop)
    assert crop.size == (16, 16)


@pytest.mark.parametrize("size", [(48, 16), (16, 48), (1, 3), (3, 1), (33, 32), (2000, 16)])
@pytest.mark.parametrize("center_crop", [True, False])
def test_every_crop_has_the_resolution(size, center_crop):
    found = crops(gradient(*size), 16, center_crop)
    assert {crop.size for crop in found} == {(16, 16)}
    assert len(found) <= (1 if center_crop else CROPS)


def test_the_centred_crop_is_in_the_middle():
    (crop,) = crops(gradient(49, 16), 16, True)
    red = np.array(crop)[:, :, 0].astype(float)
    assert red.mean() == pytest.approx(127, abs=4)


@pytest.mark.parametrize(("size", "channel"), [((64, 16), 0), ((16, 64), 1)])
def test_crops_go_from_one_end_to_the_other(size, channel):
    means = [np.array(crop)[:, :, channel].mean() for crop in crops(gradient(*size), 16, False)]
    assert len(means) == CROPS
    assert means == sorted(means)
    assert means[0] < 40
    assert means[-1] > 215


def test_a_picture_that_is_nearly_square_has_no_crop_twice():
    found = [np.array(crop).tobytes() for crop in crops(gradient(17, 16), 16, False)]
    assert len(found) == len(set(found)) == 2


def test_nothing_is_stretched():
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste((0, 0, 0), (16, 0, 48, 32))
    (crop,) = crops(picture, 16, True)
    assert np.array(crop)[:, 2:-2].max() < 40


def test_variants_of_a_picture_lie_together(pictures):
    latents, _ = encoded(pictures, center_crop=False, random_flip=True)
    assert latents.variants.tolist() == [2, 2, 2, 2 * CROPS]
    assert latents.first.tolist() == [0, 2, 4, 6]
    assert len(latents.latents) == 6 + 2 * CROPS
    assert len(latents) == 4


def test_the_second_half_of_the_variants_is_mirrored(pictures):
    latents, _ = encoded(pictures, random_flip=True)
    for first in latents.first.tolist():
        assert torch.equal(latents.latents[first].flip(-1), latents.latents[first + 1])
        assert not torch.equal(latents.latents[first], latents.latents[first + 1])


def test_each_distinct_prompt_is_encoded_once_and_the_empty_condition_is_kept_beside_them(pictures):
    latents, asked = encoded(pictures)
    assert asked == [["a sks cat"], ["a red sks cat"]]
    assert latents.prompts == ("a sks cat", "a red sks cat")
    assert latents.prompt.tolist() == [0, 1, 0, 0]
    assert latents.conditions[:, 0, 0].tolist() == [len("a sks cat"), len("a red sks cat")]
    assert latents.empty[0, 0].item() == -1


def test_latents_are_kept_in_float32(pictures):
    assert encoded(pictures)[0].latents.dtype == torch.float32


def test_progress_is_told_picture_by_picture(pictures):
    heard = []
    encoded(pictures, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_stop_ends_the_encoding(pictures):
    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        encoded(pictures, progress=stop)


def test_a_picture_that_was_damaged_after_the_scan_is_told(tmp_path):
    from core.errors import DataError

    save_picture(tmp_path / "a.png", 0)
    items = scan_folder(tmp_path, "a cat").items
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"a\.png"):
        encode(
            items, lambda pictures: pictures, lambda prompts: torch.zeros(1, 1, 1), lambda: torch.zeros(1, 1),
            size=(16, 16), center_crop=True, random_flip=False, progress=lambda done, total: None,
        )  # fmt: skip


@pytest.mark.parametrize("size", [(16, 16), (48, 16), (16, 48), (100, 70), (7, 9)])
@pytest.mark.parametrize("target", [(16, 16), (24, 16), (16, 40)])
def test_crops_have_the_targets_shape_and_lie_in_the_picture(size, target):
    for cut in cuts(size, target, False):
        left, top, right, bottom = cut.box
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert (right - left) / (bottom - top) == pytest.approx(target[0] / target[1])
        assert right - left == pytest.approx(size[0]) or bottom - top == pytest.approx(size[1])


def test_the_framing_tells_where_a_crop_lay_in_the_scaled_picture():
    first, *_, last = cuts((400, 100), (50, 50), False)
    assert first.framing(mirrored=False) == (100, 400, 0, 0, 50, 50)
    assert last.framing(mirrored=False) == (100, 400, 0, 150, 50, 50)
    # in the mirror the left end is the right one
    assert first.framing(mirrored=True) == last.framing(mirrored=False)
    (tall,) = cuts((100, 300), (64, 96), True)
    assert tall.framing(mirrored=False) == (300, 100, 48, 0, 96, 64)


def test_every_variant_has_its_framing(pictures):
    latents, _ = encoded(pictures, center_crop=False, random_flip=True)
    assert latents.framing.shape == (len(latents.latents), 6)
    wide = latents.framing[latents.first[-1] :, 3].tolist()
    assert wide[:CROPS] == [0, 8, 16, 24]
    assert wide[CROPS:] == [24, 16, 8, 0]
    assert latents.framing[0].tolist() == [SIDE, SIDE, 0, 0, SIDE, SIDE]
