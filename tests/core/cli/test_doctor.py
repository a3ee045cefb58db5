"""The doctor finds what is wrong in a real installation and a real workspace, and says what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.config.paths import PROJECT_ROOT
from core.config.presets import load_preset
from core.runs.doctor import installation_checks, workspace_checks
from core.runs.files import to_json
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace


def doctor(workspace: Path, *flags: str, path: Path | None = None) -> tuple[int, list[dict[str, str]]]:
    """Exit status and findings of a doctor in a process of its own, ``path`` before everything that is installed."""
    found = [str(path)] if path is not None else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*found, str(PROJECT_ROOT)])}
    argv = [sys.executable, "-m", "core", "doctor", "--json", "--workspace", str(workspace), *flags]
    ended = subprocess.run(argv, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert "Traceback" not in ended.stderr
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def of(found, title: str) -> list[tuple[str, str]]:
    """Level and text of the findings of a title."""
    facts = [check if isinstance(check, dict) else vars(check) for check in found]
    return [(check["level"], check["text"]) for check in facts if check["title"] == title]


def distribution(folder: Path, *requirements: str) -> Path:
    """Metadata of a project of ours that asks for other packages than the real one."""
    info = folder / "rollout_workbench-9.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", "Name: rollout-workbench", "Version: 9"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in requirements), ""]))
    return folder


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """An empty workspace."""
    made = Workspace(tmp_path / "workspace")
    made.check_writable()
    return made


def run_of(workspace: Workspace, name: str, **status) -> RunFolder:
    """A run whose process said something and is gone."""
    run = RunFolder.create(workspace.runs_dir, name, load_preset("demo").config)
    run.status_path.write_text(to_json({"phase": "training", "pid": 2**22 - 1, "create_time": 1.0, **status}))
    return run


def test_a_sound_machine_is_told_with_every_subject_and_exit_zero(workspace):
    code, found = doctor(workspace.root)
    titles = {check["title"] for check in found}
    asked = {"Packages", "Libraries", "Device", "Precision no", "Precision bf16", "Disk", "Workspace", "Runs"}
    assert asked <= titles
    assert code == 0
    assert {check["level"] for check in found} <= {"pass", "info", "warn"}


def test_missing_and_unfit_packages_are_each_named_and_the_exit_status_tells(workspace, tmp_path):
    wrong = distribution(tmp_path / "site", "torch<1", "no-such-package>=2", "numpy>=1")
    code, found = doctor(workspace.root, path=wrong)
    said = [text for level, text in of(found, "Packages") if level == "fail"]
    assert code == 1
    assert len(said) == 2
    assert said[0].startswith("torch must be <1, got 2")
    assert said[1].startswith("no-such-package must be installed, got none")
    assert all("make run" in text for text in said)
    assert of(found, "Workspace")[0][0] == "pass"  # the rest is looked at all the same


def test_a_package_of_an_extra_is_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(distribution(tmp_path / "site", 'no-such-package; extra == "dev"', "numpy>=1")))
    assert [level for level, _ in of(installation_checks(), "Packages")] == ["pass"]


def test_a_library_that_is_there_and_does_not_load_is_named_with_its_reason(workspace, tmp_path):
    (tmp_path / "site" / "peft").mkdir(parents=True)
    (tmp_path / "site" / "peft" / "__init__.py").write_text("raise ImportError('libmissing.so: no such file')")
    code, found = doctor(workspace.root, path=tmp_path / "site")
    said = [text for level, text in of(found, "Libraries") if level == "fail"]  # diffusers needs it too
    assert code == 1
    assert any(text.startswith("peft must load, got ImportError: libmissing.so") for text in said)


def test_runs_whose_process_is_gone_are_named_with_the_way_on(workspace):
    run_of(workspace, "alpha")
    run_of(workspace, "beta", phase="done")
    checks = workspace_checks(workspace)
    ((level, text),) = of(checks, "Stale runs")
    assert level == "warn"
    assert text.startswith("alpha: the process is gone")
    assert "python -m core resume" in text
    ((_, counted),) = of(checks, "Runs")
    assert counted.startswith("2 in the workspace:")


def test_many_stale_runs_are_counted_and_only_some_named(workspace):
    for count in range(8):
        run_of(workspace, f"run-{count}")
    ((_, text),) = of(workspace_checks(workspace), "Stale runs")
    assert "and 3 more" in text


def test_a_workspace_in_the_place_of_a_file_is_a_problem(tmp_path):
    (tmp_path / "taken").write_text("a file")
    ((level, text),) = of(workspace_checks(Workspace(tmp_path / "taken")), "Workspace")
    assert level == "fail"
    assert str(tmp_path / "taken") in text


def test_a_preset_that_cannot_be_read_is_named(workspace):
    (workspace.presets_dir / "mine.toml").write_text("not = [toml")
    ((level, text),) = of(workspace_checks(workspace), "Presets")
    assert level == "warn"
    assert "mine" in text


def test_the_doctor_leaves_nothing_behind(workspace):
    before = sorted(path for path in workspace.root.rglob("*") if path.name != ".training")
    workspace_checks(workspace)
    assert sorted(path for path in workspace.root.rglob("*") if path.name != ".training") == before
