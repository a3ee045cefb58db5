"""kohya's folders: repeats and prompts from their names, and what is passed over."""

import os

import pytest
from tiny_runs import save_picture

from core.data.dreambooth import scan_folder
from core.data.groups import MOST_REPEATS
from core.errors import DataError

PROMPT = "a photo of sks cat"


def put(root, folder, *names):
    (root / folder).mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        save_picture(root / folder / name, seed)


def test_the_folders_name_gives_repeats_and_prompt(tmp_path):
    put(tmp_path, "10_sks cat", "a.png", "b.png")
    put(tmp_path, "3_sks_cat  on a  chair", "a.png")
    found = {item.name: (item.repeats, item.prompt, item.prompt_source) for item in scan_folder(tmp_path, PROMPT).items}
    assert found == {
        "10_sks cat/a.png": (10, "sks cat", "folder name"),
        "10_sks cat/b.png": (10, "sks cat", "folder name"),
        "3_sks_cat  on a  chair/a.png": (3, "sks_cat on a chair", "folder name"),
    }


def test_pictures_beside_such_folders_come_once_with_the_instance_prompt(tmp_path):
    save_picture(tmp_path / "a.png", 0)
    put(tmp_path, "2_dog", "a.png")
    first, second = scan_folder(tmp_path, PROMPT).items
    assert (first.name, first.repeats, first.prompt) == ("a.png", 1, PROMPT)
    assert (second.name, second.repeats, second.prompt) == ("2_dog/a.png", 2, "dog")


def test_a_caption_beside_a_picture_replaces_the_folders_prompt(tmp_path):
    put(tmp_path, "2_dog", "a.png", "b.png")
    (tmp_path / "2_dog" / "a.txt").write_text("a red dog")
    (tmp_path / "b.txt").write_text("a caption without a picture")
    first, second = scan_folder(tmp_path, PROMPT).items
    assert (first.prompt, first.prompt_source) == ("a red dog", "a.txt")
    assert (second.prompt, second.prompt_source) == ("dog", "folder name")


@pytest.mark.parametrize("name", ["cat", "10-cat", "_cat", "10_", "10_ ", "x10_cat", "-1_cat", "1.5_cat", "３_cat"])
def test_a_folder_of_another_name_is_passed_over_with_a_word(tmp_path, name):
    save_picture(tmp_path / "a.png", 0)
    put(tmp_path, name, "b.png")
    listing = scan_folder(tmp_path, PROMPT)
    assert [item.name for item in listing.items] == ["a.png"]
    assert dict(listing.skipped)[name] == "a folder that is not named as 10_sks cat is"


@pytest.mark.parametrize("repeats", ["0", "000", str(MOST_REPEATS + 1), "20240101", "9" * 200])
def test_repeats_without_reason_are_no_repeats(tmp_path, repeats):
    save_picture(tmp_path / "a.png", 0)
    put(tmp_path, f"{repeats}_cat", "b.png")
    listing = scan_folder(tmp_path, PROMPT)
    assert len(listing.items) == 1
    assert f"{repeats[:20]} repeats, where 1 to {MOST_REPEATS} can be" in dict(listing.skipped)[f"{repeats}_cat"]


def test_what_is_passed_over_is_named_with_its_folder(tmp_path):
    put(tmp_path, "2_dog", "a.png")
    (tmp_path / "2_dog" / "notes.md").write_text("x")
    (tmp_path / "2_dog" / "5_more").mkdir()
    assert dict(scan_folder(tmp_path, PROMPT).skipped) == {
        "2_dog/notes.md": "no picture", "2_dog/5_more": "a folder in a folder",
    }  # fmt: skip


def test_problems_of_all_folders_are_told_at_once_and_by_their_whole_names(tmp_path):
    put(tmp_path, "2_dog", "a.png", "c.png")
    put(tmp_path, "3_cat", "c.png")
    for name in ("2_dog/a.png", "3_cat/c.png"):
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "2_dog" / "c.txt").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        scan_folder(tmp_path, PROMPT)
    told = {problem.option: problem.message for problem in caught.value.problems}
    assert set(told) == {"2_dog/a.png", "2_dog/c.txt", "3_cat/c.png"}
    assert told["3_cat/c.png"].startswith("3_cat/c.png must be a readable picture")


def test_folders_without_pictures_are_told(tmp_path):
    (tmp_path / "10_cat").mkdir()
    with pytest.raises(DataError, match="must hold at least one picture"):
        scan_folder(tmp_path, PROMPT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_is_shut_is_told(tmp_path):
    save_picture(tmp_path / "a.png", 0)
    put(tmp_path, "2_dog", "a.png")
    (tmp_path / "2_dog").chmod(0)
    try:
        with pytest.raises(DataError, match="2_dog must be a readable file, got an error: permission denied"):
            scan_folder(tmp_path, PROMPT)
    finally:
        (tmp_path / "2_dog").chmod(0o755)
