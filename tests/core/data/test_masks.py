"""Masks: which file is whose, what is refused, and that they are cut as their pictures are."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import save_mask, save_picture

from core.data.dreambooth import scan_folder, scan_subject
from core.data.latents import encode
from core.errors import DataError

PROMPT = "a sks cat"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "b.jpg", "c.png"):
        save_picture(tmp_path / name, 0)
    return tmp_path


def masks(folder, **options):
    return {
        item.name: None if item.mask is None else str(item.mask.relative_to(folder))
        for item in scan_folder(folder, PROMPT, **options).items
    }


def told(folder):
    with pytest.raises(DataError) as caught:
        scan_folder(folder, PROMPT, masked=True)
    return {problem.option: problem.message for problem in caught.value.problems}


def latents_of(folder, *, weight=0.0, flip=False, center=True, side=16):
    """Where a latent pixel stands for 2 × 2 pixels."""
    return encode(
        scan_folder(folder, PROMPT, masked=True).items, lambda pictures: torch.nn.functional.avg_pool2d(pictures, 2),
        lambda prompts: torch.zeros(1, 1, 1), lambda: torch.zeros(1, 1), size=(side, side), center_crop=center,
        random_flip=flip, progress=lambda done, total: None, unmasked_weight=weight,
    )  # fmt: skip


def test_a_mask_lies_beside_its_picture_or_in_the_masks_folder(folder):
    save_mask(folder / "a-masklabel.png")
    save_mask(folder / "masks" / "a.png")
    save_mask(folder / "masks" / "b.png")
    assert masks(folder) == {"a.png": "a-masklabel.png", "b.jpg": "masks/b.png", "c.png": None}


def test_a_mask_is_no_training_picture(folder):
    save_mask(folder / "a-masklabel.png")
    save_mask(folder / "gone-masklabel.png")
    listing = scan_folder(folder, PROMPT)
    assert len(listing.items) == 3
    assert dict(listing.skipped) == {
        "a-masklabel.png": "a mask", "gone-masklabel.png": "a mask without a picture", "masks": "the masks",
    }  # fmt: skip


def test_kohyas_folders_have_masks_of_their_own(folder):
    inner = folder / "3_dog"
    (inner / "masks").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        save_picture(inner / name, 0)
    save_mask(inner / "masks" / "a.png")
    save_mask(inner / "b-masklabel.png")
    found = masks(folder, masked=True)
    assert (found["3_dog/a.png"], found["3_dog/b.png"]) == ("3_dog/masks/a.png", "3_dog/b-masklabel.png")
    assert found["a.png"] is None


def test_a_mask_that_cannot_be_used_is_told_where_masks_count(folder):
    save_mask(folder / "a-masklabel.png", (16, 15))
    Image.new("L", (16, 16)).save(folder / "masks" / "b.png")
    (folder / "c-masklabel.png").write_bytes(b"junk")
    assert masks(folder)  # they do not count here
    found = told(folder)
    assert found["a-masklabel.png"].startswith("a-masklabel.png must be as large as a.png, 16 × 16 pixels, got 16 × 15")
    assert "must show in white what is to be learnt of b.jpg, got black all over" in found["masks/b.png"]
    assert "must be a readable picture" in found["c-masklabel.png"]


def test_masks_that_count_must_be_there(folder):
    with pytest.raises(DataError, match="masked_loss must be false for a folder without masks, got true"):
        scan_subject(folder, PROMPT, masked=True)
    assert scan_subject(folder, PROMPT, masked=False)


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_white_counts_one_and_black_the_unmasked_weight_and_no_mask_one_all_over(folder, weight):
    save_mask(folder / "a-masklabel.png")
    found = latents_of(folder, weight=weight).masks
    assert found.shape == (3, 1, 8, 8)
    assert set(found[0, :, :, :4].flatten().tolist()) == {1.0}
    assert set(found[0, :, :, 4:].flatten().tolist()) == {weight}
    assert set(found[1:].flatten().tolist()) == {1.0}


@pytest.mark.parametrize("size", [(16, 16), (64, 24), (24, 64)])
@pytest.mark.parametrize("center", [True, False])
def test_a_mask_is_cut_and_mirrored_as_its_picture(tmp_path, size, center):
    """A picture that is its own mask stays its own mask, in every variant."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    drawn = Image.fromarray((255 * (columns * 2 + rows < sum(size) * 0.7)).astype(np.uint8))
    for name in ("a.png", "a-masklabel.png"):
        drawn.save(tmp_path / name)
    found = latents_of(tmp_path, flip=True, center=center)
    assert len(found.masks) == len(found.latents)
    seen = (found.latents[:, :1] + 1) / 2
    assert (seen - found.masks).abs().mean() < 0.04
    half = len(found.masks) // 2
    assert torch.equal(found.masks[:half].flip(-1), found.masks[half:])
    assert not torch.equal(found.masks[:half], found.masks[half:])


def test_without_masked_loss_there_are_none(folder):
    save_mask(folder / "a-masklabel.png")
    assert latents_of(folder, weight=None).masks is None


def test_a_picture_whose_name_only_holds_the_mark_is_no_mask(tmp_path):
    save_picture(tmp_path / "a-masklabel-2.png", 0)
    assert [item.name for item in scan_folder(tmp_path, PROMPT).items] == ["a-masklabel-2.png"]
