import os

import pytest

from core.config.files import read_table, write_text
from core.errors import ConfigError, RunError


def complaint(path):
    with pytest.raises(ConfigError) as caught:
        read_table(path)
    (problem,) = caught.value.problems
    assert problem.option == path.name
    assert problem.message.startswith(f"{path} must ")
    assert "\n" not in problem.message
    return problem.message


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.toml", b"rank = 4\nseed = = 1\n", "must be valid TOML, got an error: invalid value (at line 2, column 8)"),
        ("a.toml", b"rank = 4\nrank = 5\n", "cannot overwrite a value (at line 2, column 9)"),
        ("a.json", b'{\n "rank": 4,\n}', "must be valid JSON, got an error: "),
        ("a.json", b'{"rank": 4, "rank": 5}', "'rank' is given twice"),
        ("a.json", b"[1, 2]", "must hold a table of options, got a list"),
        ("a.json", b"[" * 100_000, "must be valid JSON"),
        ("a.json", b"", "must be valid JSON, got an error: expecting value (at line 1, column 1)"),
        ("a.toml", b"title = '\xff'", "must be UTF-8 text, got the byte 0xff at place 9"),
        ("a.yaml", b"a: 1", "must be a .toml or .json file, got the ending .yaml"),
        ("a", b"a: 1", "must be a .toml or .json file, got no ending"),
    ],
)
def test_a_broken_file_gets_one_sentence(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    assert told in complaint(path)


def test_the_line_of_broken_json_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{\n"rank": 4\n"seed": 1}')
    assert "(at line 3, column 1)" in complaint(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    assert "must be an existing file" in complaint(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    assert complaint(tmp_path / "folder.toml").endswith("must be a file, got a folder")
    assert complaint(tmp_path).endswith("must be a file, got a folder")


def test_a_name_that_no_file_can_have_is_told(tmp_path):
    assert "file name too long" in complaint(tmp_path / ("x" * 300 + ".toml"))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfrank = 4\n")
    assert read_table(path) == {"rank": 4}


def test_writing_makes_the_folder_and_leaves_nothing_beside_the_file(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "first")
    write_text(path, "sécond")
    assert path.read_text(encoding="utf-8") == "sécond"
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="must be in a folder that can be written, got an error"):
        write_text(tmp_path / "file" / "b.txt", "x")
    (tmp_path / "c.txt").mkdir()
    with pytest.raises(RunError, match=r"c\.txt must be in a folder"):
        write_text(tmp_path / "c.txt", "x")
    assert sorted(os.listdir(tmp_path)) == ["c.txt", "file"]
