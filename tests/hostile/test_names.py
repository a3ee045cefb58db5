"""Names of runs, experiments, data sets and uploads, and links in the workspace: nothing is reached by them outside."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fabricated import finish, make_experiment, write_sample
from hostile_input import told
from PIL import Image

from app.datasets import keep_upload, read_folder
from app.inspection import keep_upload as keep_lora
from app.samples import samples_of
from app.serve import may_serve, publish
from app.workbench import Workbench
from core.config.presets import load_preset
from core.errors import RunError
from core.runs.experiment import create_experiment, find_experiment, list_experiments
from core.runs.files import SLUG_LENGTH
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace, is_slug

DEMO = load_preset("demo").config
NAMES = {
    "spaces": " my  cat ", "line ends": "my\ncat\r\n", "a flag": "--help", "a longer flag": "-rf /",
    "a path up": "../../x", "an absolute path": "/etc/passwd", "a Windows path": "C:\\Windows\\x",
    "a null byte": "a\0b", "emoji": "🐱 cat 🐱", "umlauts": "Süßer Kater", "300 letters": "x" * 300,
    "a tab and an escape": "a\t\x1b[31mb", "right to left": "a\u202eb", "half a character": "a\udcffb",
    "a device of Windows": "CON", "another": "lpt1", "markup": "<b onclick=x>b</b>", "shell": "$(id); `id` | x",
    "quotes": "'\"x\\", "dots": "a...b.toml", "a percent sign": "%2e%2e%2fx",
}  # fmt: skip
NOTHING = ["", " ", ".", "..", "../..", "/", "\0", "\n", "🐱", "猫", "--", "\udcff", "…", "%"]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with its hash and its time."""
    return {
        str(path): f"{path.lstat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_whatever_a_run_is_called_it_lies_in_its_folder_and_is_found_and_shown(workspace, name):
    run = RunFolder.create(workspace.runs_dir, name, DEMO, preset=name)
    experiment = create_experiment(workspace, name, DEMO)
    for folder, parent in ((run.path, workspace.runs_dir), (experiment.path, workspace.experiments_dir)):
        assert folder.parent == parent
        assert is_slug(folder.name)
        assert len(folder.name) <= SLUG_LENGTH
        assert folder.name not in ("con", "lpt1")
    for title in (run.title, experiment.title):
        assert title.isprintable()
        assert 0 < len(title) <= 300
        title.encode()
    assert workspace.find(run.name) == run
    assert find_experiment(workspace, experiment.name) == experiment
    page = Workbench(workspace)
    assert {key for _, key in page.titles()} == {f"runs/{run.name}", f"experiments/{experiment.name}"}
    assert len(page.entries()) == 2
    assert sorted(os.listdir(workspace.root)) == ["experiments", "runs"]


@pytest.mark.parametrize("name", NOTHING)
def test_a_name_of_nothing_usable_is_one_sentence_and_leaves_nothing_behind(workspace, name):
    for action in (
        lambda: RunFolder.create(workspace.runs_dir, name, DEMO),
        lambda: create_experiment(workspace, name, DEMO),
    ):
        (sentence,) = told(action).values()
        assert sentence.startswith("name must hold a letter a-z or a digit, got ")
    assert not [path for path in workspace.root.rglob("*") if path.is_file()]


def test_two_names_of_one_slug_are_two_runs(workspace):
    names = ["My cat", "my cat!", "MY-CAT", "my cat 2"]
    runs = [RunFolder.create(workspace.runs_dir, name, DEMO) for name in names]
    assert len({run.path for run in runs}) == len(names)
    assert [run.title for run in runs] == names
    assert len({text for text, _ in Workbench(workspace).titles()}) == len(names)


@pytest.mark.parametrize(
    "name", [*NAMES.values(), *NOTHING, "a/b/c", "../x", "x/../y", "x/.", "a" * 41, "x\n", "/x", "x/", "con/../x"]
)  # fmt: skip
def test_a_name_that_is_no_slug_finds_nothing(workspace, name):
    RunFolder.create(workspace.runs_dir, "x", DEMO)
    for find in (workspace.find, lambda name: find_experiment(workspace, name)):
        with pytest.raises(RunError):
            find(name)
    assert Workbench(workspace).entry(f"runs/{name}") is None
    assert Workbench(workspace).entry(name) is None


@pytest.mark.parametrize("words", [["train", "demo", "--name", "…"], ["ab", "demo", "--name", "../.."]])
def test_the_command_line_answers_a_name_with_a_sentence(tmp_path, words):
    said = subprocess.run(
        [sys.executable, "-m", "core", *words, "--workspace", str(tmp_path / "w")], capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stderr.count("\n")) == (1, 1), said.stderr
    assert said.stderr.startswith("error: name must hold a letter a-z or a digit")


ODD = [
    "x" * 300, "x" * 5000, "a\nb", "a\0b", "", " ", "..", "/", "/dev/zero", "/etc/passwd", "~nosuchuser", "runs/../..",
    "\udcff", "a\ud800", "🐱", "x.safetensors", "$(id)",
]  # fmt: skip
COMMANDS = {
    "run": ["run"], "resume": ["resume"], "stop": ["stop"], "status": ["status"], "inspect": ["inspect"],
    "report": ["report"], "score": ["score"], "sample": ["sample", "--prompt", "a cat"],
    "train": ["train", "--name", "x"], "--preset": ["forecast", "gone.toml", "--preset"],
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_answers_a_name_that_means_nothing_with_one_line(typed, words):
    for name in ODD:
        code, _, complaints = typed(*words, name)
        assert code in (1, 2), name
        assert len(complaints) == 1, (name, complaints)
        assert complaints[0].startswith("error: ")


@pytest.fixture
def outside(tmp_path):
    """What lies beside the workspace, which nobody asked to show: a run, pictures, a secret."""
    folder = tmp_path / "outside"
    run = RunFolder.create(folder, "run", DEMO)
    write_sample(run, 0)
    finish(run)
    (folder / "secret.png").write_bytes(b"secret")
    (folder / "experiment").mkdir()
    shutil.copy(make_experiment(Workspace(folder / "other")).file_path, folder / "experiment" / "experiment.json")
    return folder


def test_a_run_or_an_experiment_that_is_a_link_out_is_neither_listed_nor_found(workspace, outside):
    for parent, target in ((workspace.runs_dir, "run"), (workspace.experiments_dir, "experiment")):
        parent.mkdir(parents=True)
        (parent / "linked").symlink_to(outside / target)
        (parent / "root").symlink_to("/")
    before = contents(outside)
    assert (workspace.runs(), list_experiments(workspace), Workbench(workspace).entries()) == ([], [], [])
    for find in (workspace.find, lambda name: find_experiment(workspace, name)):
        (sentence,) = told(lambda find=find: find("linked")).values()
        assert "leads out of it" in sentence
    assert contents(outside) == before


def test_an_arm_that_is_a_link_out_is_no_arm(workspace, outside):
    experiment = make_experiment(workspace)
    first = experiment.arms[0].run.path
    shutil.rmtree(first)
    first.symlink_to(outside / "run")
    assert [arm.run.path for arm in experiment.arms] == [
        arm.run.path for arm in experiment.arms if arm.run.path != first
    ]
    assert len(experiment.arms) == 1
    assert len(Workbench(workspace).entries()[0].arms) == 1


@pytest.mark.parametrize("link", ["samples", "samples/step-000000", "samples/step-000000/p00-s42.png"])
def test_samples_behind_a_link_out_are_neither_listed_nor_served(workspace, outside, link):
    run = RunFolder.create(workspace.runs_dir, "run", DEMO)
    finish(run)
    sound = write_sample(run, 5)
    publish(Workbench(workspace).entries()[0])
    assert may_serve(str(sound))
    place = run.path / link
    place.parent.mkdir(parents=True, exist_ok=True)
    if link == "samples":
        shutil.rmtree(place)
    place.symlink_to(outside / "run" / link)
    publish(Workbench(workspace).entries()[0])
    found = samples_of(run)
    assert set(found.values()) == (set() if link == "samples" else {sound})
    for picture in (run.samples_dir / "step-000000" / "p00-s42.png", outside / "secret.png"):
        assert not may_serve(str(picture))


@pytest.mark.parametrize("name", ["runs", "experiments", "presets", "datasets"])
def test_a_folder_of_the_workspace_that_is_a_link_out_is_told_before_anything_is_written(workspace, outside, name):
    workspace.root.mkdir()
    (workspace.root / name).symlink_to(outside)
    before = contents(outside)
    (sentence,) = told(workspace.check_writable).values()
    assert "leads out of it" in sentence
    assert contents(outside) == before


def picture(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


@pytest.mark.parametrize("name", [*NAMES.values(), *NOTHING])
def test_whatever_a_data_set_is_called_it_lies_in_its_folder(workspace, tmp_path, name):
    kept = keep_upload(workspace.datasets_dir, name, [picture(tmp_path / "a.png")])
    assert kept.parent == workspace.datasets_dir
    assert is_slug(kept.name[:SLUG_LENGTH].strip("-"))
    assert os.listdir(kept) == ["a.png"]


def test_a_data_set_is_not_written_through_a_link(workspace, tmp_path, outside):
    workspace.root.mkdir()
    workspace.datasets_dir.symlink_to(outside)
    before = contents(outside)
    assert "leads out of it" in "".join(
        told(lambda: keep_upload(workspace.datasets_dir, "x", [picture(tmp_path / "a.png")])).values()
    )
    workspace.datasets_dir.unlink()
    workspace.datasets_dir.mkdir()
    (workspace.datasets_dir / "x").symlink_to(outside)
    assert keep_upload(workspace.datasets_dir, "x", [tmp_path / "a.png"]).name == "x-2"
    assert contents(outside) == before


def test_an_uploaded_lora_is_not_written_through_a_link(workspace, tmp_path, outside):
    workspace.root.mkdir()
    source = tmp_path / "lora.safetensors"
    source.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (workspace.root / "uploads").symlink_to(outside)
    assert "leads out of it" in "".join(told(lambda: keep_lora(workspace, source)).values())
    (workspace.root / "uploads").unlink()
    (workspace.root / "uploads").mkdir()
    (workspace.root / "uploads" / source.name).symlink_to(outside / "new.safetensors")
    assert keep_lora(workspace, source).name == "lora-2.safetensors"
    assert not (outside / "new.safetensors").exists()


FILES = [
    "a.png", "../../a.png", "a b.png", "a-b.png", "A B.PNG", "-rf.png", "猫.png", "犬.png", "x" * 200 + ".png",
    "con.png", "a\nb.png", "'\"<b>.png", "a.b.c.png", os.fsdecode(b"\xff.png"),
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_each_uploaded_picture_keeps_its_own_caption_whatever_the_names(workspace, tmp_path, order):
    """Different names that become one, in any order: no picture is lost and none gets another one's words."""
    files, colours = [], {}
    for place, name in enumerate(FILES):
        path = picture(tmp_path / "in" / str(place) / Path(name).name, (place, 0, 0))
        caption = path.with_suffix(".txt")
        caption.write_text(f"words of {place}")
        files += [caption, path] if place % 3 else [path, caption]
        colours[place] = path.read_bytes()
    kept = keep_upload(workspace.datasets_dir, "x", files[::order])
    items = read_folder(kept, "x").items
    assert len(items) == len(FILES)
    assert {item.prompt: item.path.read_bytes() for item in items} == {
        f"words of {place}": content for place, content in colours.items()
    }
    assert all(item.path.name.isascii() and not item.path.name.startswith("-") for item in items)
    assert all(path.parent == kept for path in kept.rglob("*"))


def test_an_upload_that_cannot_be_copied_whole_keeps_nothing(workspace, tmp_path):
    """A file is gone before it is read, and the disk takes the first file and not the second."""
    workspace.datasets_dir.mkdir(parents=True)
    files = [picture(tmp_path / "a.png"), picture(tmp_path / "b.bmp")]
    before, limit = contents(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    told(lambda: keep_upload(workspace.datasets_dir, "x", [*files, tmp_path / "gone.txt"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (files[0].stat().st_size, limit[1]))
    try:
        (sentence,) = told(lambda: keep_upload(workspace.datasets_dir, "x", files)).values()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "must be writable, got an error: file too large" in sentence
    assert os.listdir(workspace.datasets_dir) == []
    assert contents(tmp_path) == before
