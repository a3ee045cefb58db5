import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.config.paths import PROJECT_ROOT
from core.config.run import RunConfig
from core.errors import RunError
from core.runs.files import slug, write_whole
from core.runs.folder import RunFolder, list_runs
from core.runs.status import derive_state
from core.runs.workspace import Workspace, workspace_of


def test_a_new_run_holds_its_config_and_its_facts(workspace: Workspace, config: RunConfig) -> None:
    run = RunFolder.create(workspace.runs_dir, "My Cat", config, preset="demo")
    assert run.path == workspace.root / "runs" / "my-cat"
    assert run.config() == config
    assert (run.title, run.meta()["preset"]) == ("My Cat", "demo")
    assert run.samples_dir.is_dir()
    assert run.checkpoints_dir.is_dir()


def test_a_name_that_is_taken_gets_a_number(workspace: Workspace, config: RunConfig) -> None:
    names = [RunFolder.create(workspace.runs_dir, "demo", config).name for _ in range(3)]
    assert names == ["demo", "demo-2", "demo-3"]


def test_a_long_name_stays_short_even_with_its_number(workspace: Workspace, config: RunConfig) -> None:
    runs = [RunFolder.create(workspace.runs_dir, "x" * 90, config) for _ in range(2)]
    assert [len(run.name) for run in runs] == [40, 40]
    assert [workspace.find(run.name) for run in runs] == runs


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("  two  words ", "two-words"),
        ("Été — Nº1", "ete-no1"),
        ("a\x00b/c\\d", "a-b-c-d"),
        ("-rf *", "rf"),
        ("x" * 39 + " y", "x" * 39),
    ],
)
def test_names_become_slugs(name: str, folder: str) -> None:
    assert slug(name) == folder


@pytest.mark.parametrize("name", ["", "  ", "..", "/", "猫", "\x00"])
def test_a_name_with_nothing_usable_is_refused(workspace: Workspace, config: RunConfig, name: str) -> None:
    with pytest.raises(RunError, match="name must hold a letter a-z or a digit"):
        RunFolder.create(workspace.runs_dir, name, config)
    assert list_runs(workspace.runs_dir) == []


def test_a_runs_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"file/runs must be writable, got an error: not a directory; choose another"):
        RunFolder.create(tmp_path / "file" / "runs", "demo", config)
    with pytest.raises(RunError, match=r"file.* must be writable.*choose another folder"):
        Workspace(tmp_path / "file").check_writable()
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_run_whose_config_cannot_be_written_leaves_nothing(
    workspace: Workspace, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: RunConfig, path: Path, imported: object) -> None:
        raise RunError(f"{path} must be writable, got an error: no space left on device")

    monkeypatch.setattr("core.runs.folder.save_config", refuse)
    with pytest.raises(RunError, match="no space left"):
        RunFolder.create(workspace.runs_dir, "demo", config)
    assert list(workspace.runs_dir.iterdir()) == []


def test_a_checked_workspace_has_its_folders_and_no_litter(workspace: Workspace) -> None:
    workspace.check_writable()
    assert sorted(path.name for path in workspace.root.rglob("*")) == ["datasets", "experiments", "presets", "runs"]


def test_the_default_workspace_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_WORKSPACE", str(tmp_path / "there"))
    assert Workspace().root == tmp_path / "there"
    monkeypatch.delenv("ROLLOUT_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert Workspace().root == tmp_path / "workspace"


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunError, match="taken must be writable"):
        write_whole(tmp_path / "taken", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_runs_are_listed_newest_first_and_garbage_is_passed_over(workspace: Workspace, config: RunConfig) -> None:
    runs = [RunFolder.create(workspace.runs_dir, name, config) for name in ("b", "c", "a")]
    (workspace.runs_dir / "no-config").mkdir()
    (workspace.runs_dir / "a-file").write_text("")
    (workspace.runs_dir / ".hidden").mkdir()
    (workspace.runs_dir / ".hidden" / "config.json").write_text("{}")
    assert list_runs(workspace.runs_dir) == runs[::-1]
    assert list_runs(workspace.root / "nothing-here") == []


def test_a_run_with_garbage_in_every_file_is_still_listed(workspace: Workspace, run: RunFolder) -> None:
    for path in (run.meta_path, run.config_path, run.status_path, run.exit_path, run.process_path):
        path.write_bytes(b"\xff{")
    assert workspace.runs() == [run]
    assert run.title == "demo"
    assert derive_state(run).label == "lost"


def test_two_hundred_runs_with_endless_journals_and_logs_are_listed_without_reading_them(workspace: Workspace) -> None:
    for number in range(200):
        path = workspace.runs_dir / f"run-{number}"
        path.mkdir(parents=True)
        (path / "config.json").write_text("{}")
        (path / "run.json").write_text(f'{{"created": {number}}}')
        (path / "status.json").write_text('{"phase": "training"}')
        for name in ("metrics.jsonl", "drift.jsonl", "events.jsonl", "log.txt"):
            (path / name).touch()
            os.truncate(path / name, 1 << 40)
    os.truncate(workspace.runs_dir / "run-7" / "status.json", 1 << 40)
    runs = workspace.runs()
    assert [run.name for run in runs] == [f"run-{number}" for number in reversed(range(200))]
    assert {derive_state(run).label for run in runs} == {"lost"}


def test_a_run_is_found_by_its_name(workspace: Workspace, run: RunFolder, config: RunConfig) -> None:
    arm = RunFolder.create(workspace.experiments_dir / "demo-ab", "rollout", config)
    for found in (run, arm):
        assert workspace.find(workspace.identifier(found)) == found
    assert workspace.identifier(arm) == "demo-ab/rollout"


@pytest.mark.parametrize("name", ["", "..", "../runs/demo", "/etc", "demo/", "a/b/c", "Demo", "demo\n", "d" * 41, "-"])
def test_a_name_that_is_no_slug_is_refused(workspace: Workspace, run: RunFolder, name: str) -> None:
    with pytest.raises(RunError, match="run must be a name such as"):
        workspace.find(name)


def test_a_run_that_is_not_there_is_told(workspace: Workspace, run: RunFolder) -> None:
    with pytest.raises(RunError, match=r'run must be one of those in .*got "demo-9"'):
        workspace.find("demo-9")


def test_a_link_that_leads_out_of_the_workspace_is_refused(
    workspace: Workspace, run: RunFolder, tmp_path: Path, config: RunConfig
) -> None:
    outside = RunFolder.create(tmp_path / "elsewhere", "secret", config)
    (workspace.runs_dir / "link").symlink_to(outside.path)
    with pytest.raises(RunError, match="must lie in the workspace"):
        workspace.find("link")
    assert workspace.runs() == [run]
    with pytest.raises(RunError, match="must lie in the workspace"):
        workspace.inside(Path("runs/../../elsewhere"))


def test_runs_and_arms_know_their_workspace(workspace: Workspace, tmp_path: Path) -> None:
    assert workspace_of(workspace.runs_dir / "demo") == workspace
    assert workspace_of(workspace.experiments_dir / "demo-ab") == workspace
    assert workspace_of(workspace.experiments_dir / "demo-ab" / "rollout") == workspace
    assert workspace_of(tmp_path / "results" / "demo").root == tmp_path / "results"


def test_the_whole_package_imports_without_torch_and_gradio() -> None:
    modules = sorted(path.stem for path in (PROJECT_ROOT / "core" / "runs").glob("*.py"))
    lines = [f"import core.runs.{name}" for name in modules if name != "__init__"]
    check = "import sys; assert not {'torch', 'gradio', 'diffusers', 'transformers', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", "\n".join([*lines, check])], cwd=PROJECT_ROOT, check=False)
    assert len(modules) > 10
    assert done.returncode == 0
