"""``python -m core cache``: what is kept, and how it goes."""

import os

import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.runs.lock import hold_training_lock


def said(*arguments):
    result = CliRunner().invoke(app, ["cache", *arguments])
    assert result.exit_code == 0, result.output
    return {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}


def test_an_empty_workspace_keeps_nothing(tmp_path):
    assert {name: words[0] for name, words in said("--workspace", str(tmp_path)).items()} == {
        "latents": "0", "conditions": "0", "class_images": "0",
    }  # fmt: skip


def test_clearing_removes_what_was_encoded_and_no_class_pictures(tmp_path):
    for name in ("cache/latents", "cache/conditions", "class_images/abc"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a").write_bytes(bytes(2**20))
    assert said("--workspace", str(tmp_path))["latents"] == ["1", "files", "1.0", "MB"]
    after = said("--clear", "--workspace", str(tmp_path))
    assert [after[name][0] for name in ("latents", "conditions", "class_images")] == ["0", "0", "1"]


@pytest.fixture
def kept(tmp_path):
    """Four entries of a MiB, by name; the higher the number, the later it was used."""
    names = {"latents/2": 2, "latents/0": 0, "conditions/1": 1, "conditions/3": 3}
    for name, used in names.items():
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(2**20))
        os.utime(path, (used, used))

    return lambda: sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize(("size", "left"), [("9", "0123"), ("3", "123"), ("2", "23"), ("0", "")])
def test_trimming_removes_the_longest_unused_first_and_no_more_than_it_must(size, left, kept, tmp_path):
    said("--trim", size, "--workspace", str(tmp_path))
    assert "".join(kept()) == left


def test_nothing_is_trimmed_while_something_trains(kept, tmp_path):
    with hold_training_lock(tmp_path, "runs/busy"):
        result = CliRunner().invoke(app, ["cache", "--trim", "0", "--workspace", str(tmp_path)])
    assert result.exit_code != 0
    assert len(kept()) == 4
