"""Which folders the page may be told to use."""

import os

import pytest

from app.inspection import begin
from app.paths import AllowedPaths
from core.config.flat import flatten
from core.config.paths import PATH_OPTIONS, PROJECT_ROOT
from core.config.presets import list_presets
from core.errors import ConfigError, DataError


@pytest.fixture
def paths(workspace):
    return AllowedPaths(workspace.root)


@pytest.mark.parametrize("name", list_presets())
def test_every_shipped_preset_may_be_used(paths, name):
    flat = flatten(list_presets()[name].config)
    assert paths.problems_of(flat) == ()
    assert paths.parse(flat) == list_presets()[name].config


def test_the_workspace_may_be_used_and_what_lies_beside_it_may_not(paths, workspace, tmp_path):
    assert paths.holds(workspace.root)
    assert paths.holds(workspace.datasets_dir / "mine")
    for place in (tmp_path, tmp_path / "workspace-2", workspace.root / "..", workspace.datasets_dir / "../../x", "/"):
        assert not paths.holds(place), place


def test_links_are_followed_before_anything_is_said(paths, workspace, tmp_path):
    (tmp_path / "mine").mkdir()
    (workspace.datasets_dir / "out").symlink_to(tmp_path / "mine")
    (tmp_path / "in").symlink_to(workspace.datasets_dir)
    assert not paths.holds(workspace.datasets_dir / "out")
    assert not paths.holds(workspace.datasets_dir / "out" / "deeper")
    assert paths.holds(tmp_path / "in")


def test_a_workspace_that_is_itself_a_link_holds_what_is_in_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert AllowedPaths(tmp_path / "link").holds(tmp_path / "real" / "a")


def test_further_folders_are_those_that_the_page_was_started_with(workspace, tmp_path):
    wide = AllowedPaths(workspace.root, [tmp_path / "mine"])
    assert wide.holds(tmp_path / "mine" / "cat")
    assert not wide.holds(tmp_path / "mineral")
    assert AllowedPaths(workspace.root, ["/"]).holds("/etc")


@pytest.mark.parametrize(
    "value", ["a\0b", "\ud800", "/" + "a" * 10_000, "~nobody-at-all/x", " /etc", "/etc ", "file:///etc"]
)
def test_what_is_no_path_of_ours_is_refused_and_never_trips(paths, value):
    assert not paths.holds(value)


def test_names_of_the_hub_are_no_paths_unless_something_of_that_name_is_here(paths):
    base = "pretrained_model_name_or_path"
    for name in ("embedded", "embedded-flow", "gpt2", "stabilityai/stable-diffusion-xl-base-1.0"):
        assert paths.problem(base, name) is None
    for name in (
        "core",
        "core/runs",
        "../x",
        "a/b/c",
        "/a/b",
        "~/a",
        "a/../b",
        "https://example.com/x",
        "a b/c",
        ".git",
    ):
        assert "--allowed-path" in paths.problem(base, name).message, name
    assert paths.problem("instance_data_dir", "some-owner/some-model") is not None


def test_a_folder_elsewhere_is_not_even_looked_at(paths, tmp_path, demo):
    """Reading it would be seen in its time of access; a folder that cannot be entered would raise."""
    closed = tmp_path / "closed"
    closed.mkdir()
    seen = []
    for path in (closed, tmp_path / "none"):
        with pytest.raises(ConfigError) as caught:
            paths.parse({**flatten(demo), **dict.fromkeys(PATH_OPTIONS, str(path))})
        seen.append(str(caught.value).replace(path.name, ""))
    assert seen[0] == seen[1]
    assert seen[0].count("must lie in the workspace") == len(PATH_OPTIONS)


def test_a_single_file_or_its_folder_elsewhere_is_the_only_thing_told(paths, workspace, tmp_path, demo):
    """What stands in for the forbidden one contradicts nothing."""
    there, elsewhere = str(workspace.root / "cats.safetensors"), str(tmp_path / "x.safetensors")
    for file, folder in ((there, str(tmp_path)), (elsewhere, str(workspace.root)), (elsewhere, str(tmp_path))):
        changes = {"pretrained_model_name_or_path": file, "single_file_config": folder}
        with pytest.raises(ConfigError) as caught:
            paths.parse({**flatten(demo), **changes})
        assert all("must lie in the workspace" in problem.message for problem in caught.value.problems)


def test_other_problems_are_told_beside_those_of_the_paths(paths, demo):
    with pytest.raises(ConfigError) as caught:
        paths.parse({**flatten(demo), "instance_data_dir": "/etc", "rank": 0})
    assert {problem.option for problem in caught.value.problems} == {"instance_data_dir", "rank"}


@pytest.mark.parametrize("value", [None, 3, ["a"], ""])
def test_what_is_no_text_is_left_to_validation(paths, value):
    assert paths.problem("instance_data_dir", value) is None


def test_a_lora_behind_a_link_is_refused(workbench, workspace, tmp_path, demo):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "a.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    folder = workspace.root / "loras"
    folder.mkdir()
    (folder / "pytorch_lora_weights.safetensors").symlink_to(outside / "a.safetensors")
    for path in (folder, folder / "pytorch_lora_weights.safetensors"):
        with pytest.raises(DataError, match="upload it, or start the page with --allowed-path FOLDER"):
            begin(workbench, "file", None, str(path), demo)


def test_relative_paths_are_the_projects(paths):
    assert paths.holds("assets/subjects/orange-cat")
    assert not paths.holds("app")
    assert not paths.holds(os.path.relpath("/etc", PROJECT_ROOT))
