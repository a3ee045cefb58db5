"""The manifest of a run: what it was trained on, frozen; a resume with other pictures is refused."""

import json
import shutil

import pytest
from tiny_runs import adapter, run, same_bits, save_picture

from core.data.digest import file_digest
from core.errors import RunError

PRIOR = {"with_prior_preservation": True, "class_prompt": "a cat", "num_class_images": 2}
SAVED = {"max_train_steps": 2, "checkpointing_steps": 1, "checkpoints_total_limit": None}


@pytest.fixture
def mine(pictures, tmp_path):
    """The pictures in a folder that a test may change."""
    return shutil.copytree(pictures, tmp_path / "mine")


@pytest.fixture
def half(trained, mine):
    """A run that was cut off after its first step."""
    folder = trained("run", instance_data_dir=str(mine), **SAVED)
    shutil.rmtree(folder.checkpoints_dir / "step-000002")
    return folder


def rows(folder):
    return json.loads(folder.manifest_path.read_text())["pictures"]


def test_every_picture_is_listed_with_its_content_and_its_prompt(trained, mine):
    (mine / "7_dog").mkdir()
    save_picture(mine / "7_dog" / "a.png", 9)
    found = rows(trained("run", instance_data_dir=str(mine), max_train_steps=1, **PRIOR))
    assert [row["file"] for row in found[:5]] == ["0.png", "1.png", "2.png", "wide.png", "7_dog/a.png"]
    assert [row["set"] for row in found] == ["instance"] * 5 + ["class"] * 2
    assert all(row["sha256"] == file_digest(mine / row["file"]) for row in found[:5])
    assert (found[1]["prompt"], found[1]["prompt_source"]) == ("a red sks cat", "1.txt")
    assert (found[3]["width"], found[3]["height"], found[3]["bucket"]) == (40, 16, [16, 16])
    assert {row["mask"] for row in found} == {None}
    assert [row["repeats"] for row in found] == [1, 1, 1, 1, 7, 1, 1]


def test_the_same_pictures_resume(half):
    before, whole = half.manifest_path.read_bytes(), adapter(half)
    run(half, resume=True)
    assert half.manifest_path.read_bytes() == before
    assert same_bits(whole, adapter(half))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda mine: save_picture(mine / "0.png", 77), "got 0.png with another content;"),
        (lambda mine: (mine / "0.png").unlink(), "got 0.png missing;"),
        (lambda mine: save_picture(mine / "new.png", 77), "got new.png new;"),
        (lambda mine: (mine / "1.txt").write_text("a blue sks cat"), "got 1.png with another prompt;"),
        (lambda mine: (mine / "1.txt").rename(mine / "1.caption"), "got 1.png with another prompt source;"),
    ],
)
def test_other_pictures_are_refused_in_words_and_nothing_is_written(half, mine, change, words):
    change(mine)
    before = {
        path: path.read_bytes() for path in half.path.rglob("*.*") if path.name in ("manifest.json", "metrics.jsonl")
    }
    with pytest.raises(RunError, match="put them back as they were, or train a new run") as caught:
        run(half, resume=True)
    assert words in str(caught.value)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"pictures": 1}', b'{"pictures": [1]}'])
def test_without_a_manifest_nothing_can_be_resumed(half, content):
    half.manifest_path.unlink()
    if content is not None:
        half.manifest_path.write_bytes(content)
    with pytest.raises(RunError, match="must list the pictures that the run began with"):
        run(half, resume=True)


def test_a_run_that_never_took_a_step_begins_with_the_pictures_as_they_are(half, mine):
    shutil.rmtree(half.checkpoints_dir)
    save_picture(mine / "0.png", 77)
    run(half, resume=True)
    assert rows(half)[0]["sha256"] == file_digest(mine / "0.png")


def test_the_folders_of_the_pictures_are_never_written(trained, mine, tmp_path):
    classes = shutil.copytree(mine, tmp_path / "classes")

    def listing():
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (*mine.rglob("*"), *classes.rglob("*"))
        }

    before = listing()
    for folder in (mine, classes):
        folder.chmod(0o555)
    try:
        trained("run", instance_data_dir=str(mine), class_data_dir=str(classes), **{**PRIOR, "max_train_steps": 1})
    finally:
        for folder in (mine, classes):
            folder.chmod(0o755)
    assert listing() == before
