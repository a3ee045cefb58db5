"""A folder of pictures: what is read, what is refused, in which words, and the exact prompt of each picture."""

import contextlib
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_runs import save_picture

from core.data.dreambooth import PICTURE_SUFFIXES, scan_folder
from core.data.pictures import MAX_PIXELS, read_picture
from core.errors import DataError

PROMPT = "a photo of sks cat"


def problems(folder) -> dict[str, str]:
    with pytest.raises(DataError) as caught:
        scan_folder(folder, PROMPT)
    return {problem.option: problem.message for problem in caught.value.problems}


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES | {".PNG", ".Jpg"}))
def test_common_picture_files_are_read(tmp_path, suffix):
    save_picture(tmp_path / f"a{suffix}", 0, (20, 12))
    (item,) = scan_folder(tmp_path, PROMPT).items
    assert (item.prompt, item.prompt_source, item.width, item.height) == (PROMPT, "instance prompt", 20, 12)


def test_pictures_come_by_name(tmp_path):
    for name in ("b", "a", "c"):
        save_picture(tmp_path / f"{name}.png", 0)
    assert [item.path.name for item in scan_folder(tmp_path, PROMPT).items] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("suffix", [".txt", ".caption", ".TXT"])
@pytest.mark.parametrize("picture", ["a.png", "a.PNG"])
def test_a_caption_beside_a_picture_replaces_the_prompt(tmp_path, suffix, picture):
    save_picture(tmp_path / picture, 0)
    (tmp_path / f"a{suffix}").write_text("  a sks\n cat  \n", encoding="utf-8")
    listing = scan_folder(tmp_path, PROMPT)
    (item,) = listing.items
    assert (item.prompt, item.prompt_source) == ("a sks cat", f"a{suffix}")
    assert dict(listing.skipped) == {f"a{suffix}": "a caption"}


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfa sks cat", b"a sks cat"])
def test_a_byte_order_mark_is_no_part_of_the_caption(tmp_path, content):
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_bytes(content)
    assert scan_folder(tmp_path, PROMPT).items[0].prompt == "a sks cat"


def test_captions_in_any_script_are_kept(tmp_path):
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("ein süßer 猫 🐱", encoding="utf-8")
    assert scan_folder(tmp_path, PROMPT).items[0].prompt == "ein süßer 猫 🐱"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("ein süßer Kater".encode("latin-1"), "byte 5 (0xfc) is not; save the caption as UTF-8"),
        ("a sks cat".encode("utf-16-le"), "holds null bytes; save the caption as UTF-8"),
        (b"", "is empty; write one or remove it"),
        (b" \n\t ", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_a_caption_that_cannot_be_used_is_told(tmp_path, content, words):
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_bytes(content)
    found = problems(tmp_path)
    assert list(found) == ["a.txt"]
    assert found["a.txt"].startswith("a.txt must ")
    assert words in found["a.txt"]


def test_a_folder_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "permission denied" in problems(tmp_path)["instance_data_dir"].lower()


def test_what_is_no_picture_is_skipped_and_said(tmp_path):
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "orphan.txt").write_text("a cat")
    (tmp_path / ".DS_Store").write_bytes(b"junk")
    (tmp_path / "._a.png").write_bytes(b"junk")
    (tmp_path / "notes.md").write_text("hello")
    (tmp_path / "more.png").mkdir()
    listing = scan_folder(tmp_path, PROMPT)
    assert [item.path.name for item in listing.items] == ["a.png"]
    assert dict(listing.skipped) == {
        "orphan.txt": "a caption without a picture",
        ".DS_Store": "hidden",
        "._a.png": "hidden",
        "notes.md": "no picture",
        "more.png": "a folder that is not named as 10_sks cat is",
    }


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_picture_is_told_by_name(tmp_path, suffix, damage):
    path = save_picture(tmp_path / f"bad{suffix}", 0, (64, 64))
    if damage == "cut":
        half(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"this is no picture")
    save_picture(tmp_path / "good.png", 0)
    found = problems(tmp_path)
    assert list(found) == [path.name]
    why = {"cut": "is damaged or cut short", "garbage": "is no png, jpg, webp or bmp inside", "empty": "is empty"}
    assert found[path.name].startswith(f"{path.name} must be a readable picture, but it {why[damage]}")


def test_a_link_to_nowhere_is_told(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert "is a link to nothing; remove the link" in problems(tmp_path)["a.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_random_damage_ends_in_a_picture_or_in_a_sentence(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    Image.open(save_picture(tmp_path / "plain.png", 0, (24, 24))).save(path, exif=exif)
    whole, dice = bytearray(path.read_bytes()), random.Random(1)
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(min(len(damaged), 300) if dice.random() < 0.5 else len(damaged))] = dice.randrange(
                256
            )
        path.write_bytes(damaged)
        with warnings.catch_warnings(), contextlib.suppress(DataError):
            warnings.simplefilter("ignore")  # Pillow's own words about the damage
            assert read_picture(path).mode == "RGB"


def test_all_problems_of_a_folder_are_told_at_once(tmp_path):
    save_picture(tmp_path / "good.png", 0)
    half(save_picture(tmp_path / "cut.png", 0, (64, 64)))
    (tmp_path / "cut.txt").write_bytes("ü".encode("latin-1"))
    save_picture(tmp_path / "silent.png", 0)
    (tmp_path / "silent.txt").write_bytes(b"")
    assert set(problems(tmp_path)) == {"cut.png", "cut.txt", "silent.txt"}


@pytest.mark.parametrize("content", [[], ["notes.txt"], [".hidden.png"]])
def test_a_folder_without_pictures_is_told(tmp_path, content):
    for name in content:
        (tmp_path / name).write_text("text")
    message = problems(tmp_path)["instance_data_dir"]
    assert message.startswith("instance_data_dir must hold at least one picture")
    assert "png" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_told_under_its_option(tmp_path, kind):
    place = tmp_path / "pictures"
    if kind == "file":
        place.write_text("text")
    with pytest.raises(DataError) as caught:
        scan_folder(place, PROMPT, "class_data_dir")
    (problem,) = caught.value.problems
    assert problem.option == "class_data_dir"
    assert problem.message.startswith("class_data_dir must be a folder that exists")


def test_the_folder_is_only_read(tmp_path):
    save_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("a cat")
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    scan_folder(tmp_path, PROMPT)
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_rotation_is_applied(tmp_path, orientation):
    upright = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    upright.paste((255, 0, 0), (0, 0, 8, 4))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.array(read_picture(tmp_path / "a.png")), np.array(upright))
    (item,) = scan_folder(tmp_path, PROMPT).items
    assert (item.width, item.height) == (16, 8)


def test_transparency_is_laid_on_white(tmp_path):
    picture = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]):
        picture.putpixel((x, 0), pixel)
    picture.save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert [read.getpixel((x, 0)) for x in range(3)] == [(255, 0, 0), (255, 255, 255), (127, 127, 127)]


def test_a_palette_with_a_transparent_colour_is_laid_on_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 255, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    read = read_picture(tmp_path / "a.png")
    assert [read.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (0, 255, 0)]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGB", "RGBA"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    Image.new("RGB", (4, 4), "white").convert(mode).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").getpixel((1, 1)) == (255, 255, 255)


def test_print_colours_are_converted(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = read_picture(tmp_path / "a.jpg").getpixel((4, 4))
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a.png")
    assert "8 bits a channel" in problems(tmp_path)["a.png"]


def test_one_pixel_is_a_picture(tmp_path):
    save_picture(tmp_path / "a.png", 0, (1, 1))
    assert scan_folder(tmp_path, PROMPT).items[0].width == 1


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("was decoded"))
    assert f"has {side} × {side} pixels; make it smaller" in problems(tmp_path)["a.png"]


def test_a_decompression_bomb_is_told(tmp_path, monkeypatch):
    save_picture(tmp_path / "a.png", 0, (64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "a.png" in problems(tmp_path)


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    (tmp_path / "cats").mkdir()
    save_picture(tmp_path / "cats" / "a.png", 0)
    assert len(scan_folder("~/cats", PROMPT).items) == 1
