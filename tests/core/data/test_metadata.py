"""``metadata.jsonl``: captions as HF's imagefolder has them, and which caption of several counts."""

import itertools
import json

import pytest
from tiny_runs import save_picture

from core.data.dreambooth import scan_folder
from core.data.metadata import LARGEST, NAMED
from core.errors import DataError

PROMPT = "a photo of sks cat"


def write(folder, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")


def told(folder):
    with pytest.raises(DataError) as caught:
        scan_folder(folder, PROMPT)
    return [problem.message for problem in caught.value.problems]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / name, 0)
    return tmp_path


def test_a_line_gives_the_caption_of_its_picture(folder):
    write(folder, {"file_name": "a.png", "text": " ein süßer\n猫 ", "more": 1}, "", "")
    listing = scan_folder(folder, PROMPT)
    assert [(item.prompt, item.prompt_source) for item in listing.items] == [
        ("ein süßer 猫", "metadata.jsonl"), (PROMPT, "instance prompt"),
    ]  # fmt: skip
    assert dict(listing.skipped) == {"metadata.jsonl": "captions"}


@pytest.mark.parametrize("there", itertools.product([True, False], repeat=4))
def test_the_nearest_caption_counts(tmp_path, there):
    """Sidecar, then the metadata file beside the picture, then the data folder's, then the folder's name."""
    own = tmp_path / ("10_sks cat" if there[3] else "")
    own.mkdir(exist_ok=True)
    save_picture(own / "a.png", 0)
    names = ["a.txt", "10_sks cat/metadata.jsonl", "metadata.jsonl", "folder name", "instance prompt"]
    if there[0]:
        (own / "a.txt").write_text(names[0])
    if there[1] and there[3]:
        write(own, {"file_name": "a.png", "text": names[1]})
    if there[2]:
        write(tmp_path, {"file_name": str((own / "a.png").relative_to(tmp_path)), "text": names[2]})
    (item,) = scan_folder(tmp_path, PROMPT).items
    usable = [there[0], there[1] and there[3], there[2], there[3], True]
    expected = next(name for name, is_there in zip(names, usable, strict=True) if is_there)
    assert item.prompt_source == expected
    assert item.prompt == {"folder name": "sks cat", "instance prompt": PROMPT}.get(expected, expected)


def test_a_metadata_file_of_one_folder_says_nothing_of_another(tmp_path):
    for name in ("1_cat", "1_dog"):
        (tmp_path / name).mkdir()
        save_picture(tmp_path / name / "a.png", 0)
    write(tmp_path / "1_cat", {"file_name": "a.png", "text": "a caption"})
    assert [item.prompt for item in scan_folder(tmp_path, PROMPT).items] == ["a caption", "dog"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{", "got something else in line 2"),
        ("[" * 100_000, "got something else in line 2"),
        ("[1]", "got something else in line 2"),
        ({"text": "x"}, "got no file_name in line 2"),
        ({"file_name": 1, "text": "x"}, "got no file_name in line 2"),
        ({"file_name": "b.png"}, "got no text for 'b.png' in line 2"),
        ({"file_name": "b.png", "text": None}, "got no text for 'b.png' in line 2"),
        ({"file_name": "b.png", "text": " \u200e"}, "got no text for 'b.png' in line 2"),
        ({"file_name": "a.png", "text": "x"}, "got 'a.png' again, which is in line 1, in line 2"),
        ({"file_name": "../a.png", "text": "x"}, "got '../a.png' in line 2; correct or remove that"),
        ({"file_name": "gone.png", "text": "x"}, "got 'gone.png' in line 2; correct or remove that"),
    ],
)
def test_a_line_that_makes_no_sense_is_told_with_its_number(folder, row, words):
    write(folder, {"file_name": "a.png", "text": "x"}, row)
    (sentence,) = told(folder)
    assert sentence.startswith("metadata.jsonl must ")
    assert words in sentence


def test_many_wrong_lines_are_told_in_few_sentences(folder):
    write(folder, *["x"] * 500)
    assert len(told(folder)) == NAMED + 1
    write(folder, *[{"file_name": f"{place}.png", "text": "x"} for place in range(500)])
    (sentence,) = told(folder)
    assert f"and {500 - NAMED} more" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe", "must be UTF-8 text, but byte 0 is not"), (b" " * (LARGEST + 1), "must be a file of captions")],
)
def test_a_file_of_another_kind_is_told(folder, content, words):
    (folder / "metadata.jsonl").write_bytes(content)
    assert words in told(folder)[0]


def test_a_byte_order_mark_and_a_dot_before_the_name_are_no_part_of_it(folder):
    (folder / "metadata.jsonl").write_text('{"file_name": "./a.png", "text": "a dot"}', encoding="utf-8-sig")
    assert [item.prompt for item in scan_folder(folder, PROMPT).items] == ["a dot", PROMPT]


def test_an_empty_name_is_told_as_none(folder):
    write(folder, {"file_name": "", "text": "a cat"})
    (message,) = told(folder)
    assert "no file_name in line 1" in message
