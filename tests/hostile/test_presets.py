"""Presets and files of runs that are anything but what they should be: told by name, never read whole, never a hang."""

import os

import pytest
from hostile_input import told

from app.workbench import Workbench
from core.config.files import LARGEST, read_table
from core.config.flat import MOST_NAMES, parse_config
from core.config.presets import (
    broken_presets,
    list_presets,
    load_preset,
    resolve_config,
    save_preset,
    slug,
)  # fmt: skip
from core.config.saved import save_config
from core.errors import ConfigError
from core.runs.experiment import create_experiment, list_experiments
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace

DEMO = load_preset("demo").config


def folder(path):
    path.mkdir()


def loop(path):
    path.symlink_to(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


def holding(content):
    return lambda path: path.write_bytes(content)


def linked(target):
    return lambda path: path.symlink_to(target)


ODD = {
    "a folder": (folder, "must be a file, got a folder"),
    "a pipe": (os.mkfifo, "it is a pipe, a socket or a device"),
    "100 MB": (huge, "it has 100 MB, and at most 262144 bytes are read"),
    "a link to itself": (loop, "too many levels of symbolic links"),
    "UTF-16": (holding("title = 'x'".encode("utf-16")), "must be UTF-8 text, got the byte 0xff at place 0"),
    "Latin-1": (holding("title = 'süß'".encode("latin-1")), "must be UTF-8 text, got the byte 0xfc at place 10"),
    "null bytes": (holding(b"rank = \0"), "must be valid TOML"),
    "100,000 lists": (holding(b"a = " + b"[" * 100_000), "must be valid TOML"),
    "JSON": (holding(b'{"rank": 4}'), "must be valid TOML"),
    "a program": (holding(b"\x7fELF\x02\x01\x01" + bytes(100)), "must be valid TOML"),
    "a key twice": (holding(b"rank = 1\nrank = 2"), "must be valid TOML"),
    "a number of 5,000 digits": (holding(b"rank = 0x" + b"f" * 5000), "rank must be between 1 and 1024"),
    "a title of 5,000 digits": (holding(b"title = 0x" + b"f" * 5000), "title must be a text"),
    "a date": (holding(b"rank = 1979-05-27"), "rank must be a whole number between 1 and 1024"),
    "too many names": (holding(b"".join(b"a%d = 1\n" % i for i in range(MOST_NAMES + 1))), "at most 1000 names"),
    "a title that is none": (holding(b"title = 1\nsummary = []\nunset = 'x'"), "title must be a text, got 1"),
}  # fmt: skip
LINKS = {
    "a link out of the workspace": (linked("/etc/hostname"), "got a link that leads out of it"),
    "a link to a device": (linked("/dev/zero"), "got a link that leads out of it"),
}


@pytest.fixture
def presets(tmp_path):
    (tmp_path / "presets").mkdir()
    return tmp_path / "presets"


@pytest.mark.parametrize(("make", "words"), (ODD | LINKS).values(), ids=ODD | LINKS)
def test_a_preset_that_is_none_is_told_and_the_others_are_there(tmp_path, presets, make, words):
    make(presets / "odd.toml")
    save_preset(tmp_path, "mine", "Mine", DEMO)
    assert {"demo", "mine"} <= list_presets(tmp_path).keys()
    assert "odd" not in list_presets(tmp_path)
    for error in (broken_presets(tmp_path)["odd"], ConfigError(_problems(lambda: load_preset("odd", tmp_path)))):
        assert words in str(error)
        assert "odd.toml" in str(error)


def _problems(action):
    with pytest.raises(ConfigError) as caught:
        action()
    return caught.value.problems


@pytest.mark.parametrize(("make", "words"), ODD.values(), ids=ODD)
def test_a_file_that_is_no_config_is_one_sentence_a_problem(tmp_path, make, words):
    make(tmp_path / "odd.toml")
    assert words in "\n".join(told(lambda: resolve_config(tmp_path / "odd.toml")).values())


def test_a_preset_that_is_empty_is_the_demo_under_another_name(tmp_path, presets):
    (presets / "empty.toml").write_bytes(b"")
    assert list_presets(tmp_path)["empty"].config == DEMO


def test_one_preset_more_never_hides_a_workspace(tmp_path, presets):
    for place, (make, _) in enumerate((ODD | LINKS).values()):
        make(presets / f"odd-{place}.toml")
    assert len(list_presets(tmp_path)) == len(list_presets())
    assert len(broken_presets(tmp_path)) == len(ODD | LINKS)
    assert "demo" in Workbench(Workspace(tmp_path)).presets()


@pytest.mark.parametrize("name", ["--help", "-x", "a\nb", " a", "a\udcff", "a\u202eb", "\x1b[31m"])
def test_a_preset_whose_name_cannot_be_typed_is_told(tmp_path, presets, name):
    (presets / f"{name}.toml").write_text("title = 'x'")
    assert name not in list_presets(tmp_path)
    (error,) = broken_presets(tmp_path).values()
    assert "must have a name that can be typed" in str(error)


def test_hidden_files_and_half_written_ones_are_no_presets(tmp_path, presets):
    for name in (".x.toml", ".mine.toml.1234.tmp", "x.toml~", "x.json"):
        (presets / name).write_text("garbage")
    assert (list_presets(tmp_path), broken_presets(tmp_path)) == (list_presets(), {})


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../..", "/", "\0", "\n", "🐱", "猫", "--", "\udcff", "demo", "Demo!", " demo "]
)
def test_a_name_of_nothing_usable_or_of_a_shipped_preset_is_refused(tmp_path, name):
    found = told(lambda: save_preset(tmp_path, name, name, DEMO))
    assert list(found) == ["name"]
    assert not (tmp_path / "presets").exists()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\0b", "a\nb", "--help", "x" * 300, "CON", "nul", "a\udcffb", "🐱 cat"]
)  # fmt: skip
def test_whatever_a_preset_is_called_it_lies_in_its_folder_and_comes_back(tmp_path, name):
    path = save_preset(tmp_path, name, name, DEMO)
    assert (path.parent, path.suffix) == (tmp_path / "presets", ".toml")
    assert path.stem == slug(path.stem)
    assert list_presets(tmp_path)[path.stem].config == DEMO
    list_presets(tmp_path)[path.stem].title.encode()
    assert save_preset(tmp_path, name, name, DEMO) == path


def test_two_titles_of_one_slug_are_two_presets(tmp_path):
    first, second = (save_preset(tmp_path, title, title, DEMO) for title in ("My cat", "my cat!!"))
    assert (first.stem, second.stem) == ("my-cat", "my-cat-2")
    assert {preset.title for preset in list_presets(tmp_path).values()} >= {"My cat", "my cat!!"}
    (tmp_path / "presets" / "odd.toml").mkdir()
    assert save_preset(tmp_path, "Odd", "Odd", DEMO).stem == "odd-2"


@pytest.mark.parametrize("part", ["presets", "presets/mine.toml"])
def test_nothing_is_saved_through_a_link_that_leads_out(tmp_path, part):
    root, outside = tmp_path / "workspace", tmp_path / "outside"
    (root / part).parent.mkdir(parents=True)
    outside.mkdir()
    (outside / "mine.toml").write_text("precious")
    (root / part).symlink_to(outside / "mine.toml" if part.endswith("toml") else outside)
    if part == "presets":
        assert "leads out of it" in "".join(told(lambda: save_preset(root, "Mine", "Mine", DEMO)).values())
    else:
        save_preset(root, "Mine", "Mine", DEMO)
    assert os.listdir(outside) == ["mine.toml"]
    assert (outside / "mine.toml").read_text() == "precious"


@pytest.mark.parametrize("source", ["", " ", "\0", "a\0.toml", "x" * 300 + ".toml", "~nobody/x.toml", ".", "/dev/zero",
                                    "a/b", "\ud800.toml", "x.toml\n", "--help", "gone.json"])  # fmt: skip
def test_a_source_that_names_nothing_is_one_sentence(tmp_path, source):
    assert len(told(lambda: resolve_config(source, workspace=tmp_path))) == 1


BLOBS = {
    "nothing": "", "a list": "[]", "null": "null", "a number": "1", "infinity": "Infinity", "no end": '{"a":' * 50_000,
    "a name twice": '{"rank": 1, "rank": 2}', "inside and outside": '{"rank": 1, "lora": {"rank": 1}}',
    "5,000 digits": '{"rank": 1' + "0" * 5000 + "}", "TOML": "rank = 1", "too long": '{"a": "' + "x" * LARGEST + '"}',
    "too many names": "{" + ", ".join(f'"a{i}": 1' for i in range(5000)) + "}", "a block of nothing": '{"lora": null}',
    "html": "<script>alert(1)</script>", "half a character": '{"rank": "\\ud800", "\\ud800": 1}',
    "lists without end": '{"validation_prompts": "' + "[" * 50_000 + '"}',
}  # fmt: skip


@pytest.mark.parametrize("text", BLOBS.values(), ids=BLOBS)
def test_a_text_that_is_pasted_into_the_page_is_a_config_or_sentences(tmp_path, text):
    told(lambda: Workbench(Workspace(tmp_path)).import_text(text))


def test_every_problem_of_a_file_is_told_at_once(tmp_path):
    (tmp_path / "x.json").write_text('{"rank": 0, "seed": -1, "rnak": 1, "lora": {"rank": 1}, "data": {"rank": 2}}')
    found = told(lambda: resolve_config(tmp_path / "x.json"))
    assert {"rank", "seed", "rnak"} <= found.keys()


@pytest.mark.parametrize("text", ["\ud800", "x\ud800", "a\0b", "~\0"])
@pytest.mark.parametrize("name", ["instance_data_dir", "pretrained_model_name_or_path", "instance_prompt"])
def test_half_a_character_is_no_text(tmp_path, name, text):
    assert list(told(lambda: resolve_config("demo", overrides={name: text}, workspace=tmp_path))) == [name]


@pytest.mark.parametrize(
    "text", ["~nobody", "x" * 5000, "/" + "x" * 300, "a\nb", "/dev/zero", "/proc/self/mem", "-rf", "🐱 " * 50]
)
def test_a_path_that_is_none_is_a_config_that_can_be_kept_and_read_again(tmp_path, text):
    config = parse_config({"instance_data_dir": text, "pretrained_model_name_or_path": text, "instance_prompt": text})
    save_config(config, tmp_path / "config.json")
    assert parse_config(read_table(tmp_path / "config.json")) == config
    save_preset(tmp_path, "mine", text, config)
    assert load_preset("mine", tmp_path).config == config


FILES = {
    "config.json": lambda run: run.config(),
    "run.json": lambda run: (run.title, run.created, run.meta()),
}
JUNK = {name: ODD[name][0] for name in ("a folder", "a pipe", "100 MB", "a link to itself", "null bytes", "UTF-16")} | {
    "a link to a device": linked("/dev/zero"),
    "facts of other types": holding(b'{"title": ["x"], "created": 1' + b"0" * 400 + b', "arm": {}}'),
    "facts without bounds": holding(b'{"title": "\\ud800\\n\\u202e", "created": Infinity}'),
    "100,000 objects": holding(b'{"a":' * 100_000),
}


@pytest.mark.parametrize("make", JUNK.values(), ids=JUNK)
def test_a_run_whose_files_are_junk_is_listed_shown_and_told(tmp_path, make):
    workspace = Workspace(tmp_path)
    for name in FILES:
        run = RunFolder.create(workspace.runs_dir, f"odd {name}", DEMO)
        (run.path / name).unlink()
        make(run.path / name)
    sound = RunFolder.create(workspace.runs_dir, "sound", DEMO)
    listed = workspace.runs()
    assert sound in listed
    for run in listed:
        run.title.encode()
        assert run.title.isprintable()
        assert run.created >= 0
    told(RunFolder(workspace.runs_dir / "odd-config-json").config)
    page = Workbench(workspace)
    assert f"runs/{sound.name}" in [key for _, key in page.titles()]
    assert all(page.entry(key) is not None for _, key in page.titles())


@pytest.mark.parametrize("make", JUNK.values(), ids=JUNK)
def test_an_experiment_whose_file_is_junk_hides_no_other(tmp_path, make):
    workspace = Workspace(tmp_path)
    sound = create_experiment(workspace, "sound", DEMO)
    odd = create_experiment(workspace, "odd", DEMO)
    odd.file_path.unlink()
    make(odd.file_path)
    assert sound.name in [experiment.name for experiment in list_experiments(workspace)]
    assert odd.arms == ()
    assert odd.title.isprintable()
    page = Workbench(workspace)
    assert f"experiments/{sound.name}" in [key for _, key in page.titles()]
    page.entries()
