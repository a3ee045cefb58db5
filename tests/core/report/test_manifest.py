"""The viewer's table and script."""

import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from core.report.manifest import Shown, manifest, viewer_html, viewer_script
from core.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path):
    """A run with a picture of 64 pixels at two steps."""
    folder = RunFolder(tmp_path / "rollout")
    for step in (0, 20):
        path = folder.samples_dir / f"step-{step:06d}" / "p01-s42.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(path)
    return folder


def table_of(*runs, prompts=("a cat",)):
    shown = [Shown("Rollout", "rollout", 42, run) for run in runs]
    return manifest(shown, lambda folder: f"{folder.name}/", prompts, "key")


def test_the_table_says_where_each_picture_is(run):
    row = table_of(run)["runs"][0]
    assert (row["base"], row["arm"], row["seed"]) == ("rollout/", "rollout", 42)
    assert row["spots"] == [[0, 1, 42], [20, 1, 42]]


def test_a_run_without_pictures_is_in_the_table(tmp_path):
    table = table_of(RunFolder(tmp_path / "new"))
    assert table["runs"][0]["spots"] == []
    assert table["pixelated"] is False


@pytest.mark.parametrize(("side", "pixelated"), [(64, True), (128, True), (129, False)])
def test_small_pictures_show_their_pixels(run, side, pixelated):
    for path in run.samples_dir.rglob("*.png"):
        Image.new("RGB", (side, side)).save(path)
    assert table_of(run)["pixelated"] is pixelated


def test_the_table_of_ten_runs_with_two_hundred_pictures_is_small(tmp_path):
    runs = [RunFolder(tmp_path / f"run-{number}") for number in range(10)]
    for run in runs:
        for step in range(0, 2000, 200):
            folder = run.samples_dir / f"step-{step:06d}"
            folder.mkdir(parents=True)
            for prompt in range(4):
                for seed in range(42, 47):
                    (folder / f"p{prompt:02d}-s{seed}.png").touch()
    html = viewer_html(table_of(*runs))
    assert html.count(",44]") == 10 * 10 * 4
    assert len(html) < 40_000


def test_no_text_ends_the_script_that_holds_it(run):
    table = table_of(run, prompts=["</script><script>alert(1)</script><!--"])
    html = viewer_html(table)
    assert html.count("<script") == html.count("</script>") == 1
    held = re.search(r"<script[^>]*>(.*)</script>", html)
    assert held is not None
    assert json.loads(held[1]) == table


def test_the_script_needs_nobody_and_ends_no_script_element():
    text = viewer_script()
    assert not re.search(r"https?:|import\(|eval\(|new Function|</", text)
    assert text.count('customElements.define("rollout-viewer"') == 1


def test_viewer_words_and_verdict_need_no_torch():
    code = (
        "import sys, core.report.export, core.report.words, core.cli.judging\n"
        "print({'torch', 'diffusers', 'gradio'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
