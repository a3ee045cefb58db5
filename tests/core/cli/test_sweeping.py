"""``python -m core sweep``: what is said before training, what a cap refuses, and what is trained."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.__main__ import _guarded, app
from core.config.foreign.kept import Kept, document, read_kept
from core.config.presets import load_preset
from core.rollout.cost import Calibration
from core.runs.experiment import list_experiments
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.queue import read_queue
from core.runs.status import derive_state
from core.runs.workspace import Workspace

STUB = Path(__file__).parents[1] / "runs" / "stub_trainer.py"
K = "scheduled_sampling_max_step_offset"
GRID = ("sweep", "demo", "--over", f"{K}=1,3,5", "--over", "learning_rate=1e-4,2e-4")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def typed(capsys, workspace, monkeypatch):
    """``typed("sweep", …)``: exit status, lines said, lines complained; a stub trains."""
    command = lambda run: [sys.executable, str(STUB), str(run.path), "finish"]  # noqa: E731
    monkeypatch.setattr("core.runs.experiment.arm_command", command)

    def go(*words: str) -> tuple[int, list[str], list[str]]:
        try:
            code = _guarded(lambda: app([*words, "--workspace", str(workspace.root)]))
        except SystemExit as exit:
            code = exit.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return go


@pytest.fixture
def measured(workspace):
    """The demo was measured on this machine: 0.16 s a plain step."""
    calibration = Calibration(0.01, 0.02, 0.05, 0.1, 0.05, 0.1, 0.01)
    found = Measurement(Facts("v_prediction", 999, tuple(map(float, range(1, 999, 40)))), calibration, "cpu")
    keep_measurement(workspace.root, load_preset("demo").config, found)


def test_a_plan_says_each_cost_and_all_of_it_and_makes_nothing(typed, workspace, measured):
    code, out, err = typed(*GRID, "--plan")
    assert (code, err) == (0, [])
    assert [line.split(":")[0].strip() for line in out[:7]] == [
        "teacher-forced", "mso1-lr1e-4", "mso1-lr2e-4", "mso3-lr1e-4", "mso3-lr2e-4", "mso5-lr1e-4", "mso5-lr2e-4",
    ]  # fmt: skip
    assert all(" min: " in line for line in out[:7])
    assert out[7].startswith("7 trainings: 7 arms: about ")
    assert list_experiments(workspace) == []


def test_more_than_the_cap_makes_no_folder_and_ends_with_bad_input(typed, workspace, measured):
    code, _, err = typed(*GRID, "--max-minutes", "0.01")
    assert code == 2
    assert err[0].startswith("error: --max-minutes must be at least ")
    assert list_experiments(workspace) == []


def test_what_is_wrong_with_any_combination_ends_with_bad_input(typed, workspace):
    code, out, err = typed("sweep", "demo", "--over", f"{K}=1,-5", "--over", "rank=0,4")
    assert (code, out, len(err)) == (2, [], 2)
    assert list_experiments(workspace) == []


def test_a_sweep_trains_the_reference_once_and_every_arm(typed, workspace, measured, tmp_path):
    more = tmp_path / "more.txt"
    more.write_text(f"{K}=2 learning_rate=3e-4\n")
    code, out, err = typed("sweep", "demo", "--over", f"{K}=1,3", "--list", str(more), "--name", "lengths")
    assert (code, err) == (0, [])
    (experiment,) = list_experiments(workspace)
    assert [row.arm for row in experiment.arms] == ["teacher-forced", "mso1", "mso3", "mso2-lr3e-4"]
    assert {derive_state(row.run).label for row in experiment.arms} == {"done"}
    assert out[-1] == "done: all arms are done"


def test_a_sweep_that_fits_in_part_trains_that_part_when_asked_to(typed, workspace, measured):
    _, out, _ = typed(*GRID, "--plan")
    minutes = float(out[7].split("about ")[1].split(" min")[0])
    code, out, err = typed(*GRID, "--max-minutes", f"{minutes / 2:g}", "--fit")
    assert (code, err) == (0, [])
    (experiment,) = list_experiments(workspace)
    assert 1 < len(experiment.arms) < 7
    assert experiment.arms[0].arm == "teacher-forced"


def test_with_a_cap_only_what_was_never_measured_is_measured(typed, workspace, measured, monkeypatch):
    asked = []

    def stand_in(root, config):
        asked.append(config.lora.rank)
        calibration = Calibration(0.01, 0.02, 0.05, 0.1, 0.05, 0.1, 0.01)
        keep_measurement(root, config, Measurement(Facts("v_prediction", 999, (1.0, 500.0)), calibration, "cpu"))

    monkeypatch.setattr("core.runs.measuring.measure_apart", stand_in)
    code, _, err = typed("sweep", "demo", "--over", "rank=2,3", "--over", f"{K}=1,3", "--max-minutes", "999", "--plan")
    assert (code, err) == (0, [])
    assert asked == [2, 3]


def test_each_kind_is_measured_in_a_process_of_its_own(typed, workspace, monkeypatch):
    """One process has one precision for all that it trains."""
    begun = []
    monkeypatch.setattr("core.runs.measuring._command", lambda root, folder: [sys.executable, "-c", "pass"])
    plain = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: (begun.append(words), plain(*words, **more))[1])
    typed("sweep", "demo", "--over", "mixed_precision=no,bf16", "--max-minutes", "999", "--plan")
    assert len(begun) == 2


def test_a_measurement_that_fails_ends_the_sweep_before_anything_is_made(typed, workspace, monkeypatch):
    monkeypatch.setattr("core.runs.measuring._command", lambda root, folder: [sys.executable, "-c", "exit(3)"])
    code, _, err = typed("sweep", "demo", "--over", f"{K}=1,3", "--max-minutes", "999")
    assert code == 1
    assert "the measurement must end well, got exit code 3" in err[0]
    assert list_experiments(workspace) == []


def test_a_sweep_can_wait_in_the_queue(typed, workspace, monkeypatch):
    monkeypatch.setattr("core.runs.queue_runner.ensure_runner", lambda workspace: False)
    code, _, err = typed("sweep", "demo", "--over", f"{K}=1,3", "--queue")
    assert (code, err) == (0, [])
    assert [item.selection for item in read_queue(workspace.root).items] == ["experiments/demo-sweep"]


def test_what_was_kept_of_an_import_is_frozen_into_every_arm(typed, workspace, tmp_path):
    kept = Kept("simpletuner", {"--another_key": "1.0"})
    path = tmp_path / "mine.json"
    path.write_text(document(load_preset("demo").config, kept))
    code, _, err = typed("sweep", str(path), "--over", f"{K}=1,3")
    assert (code, err) == (0, [])
    (experiment,) = list_experiments(workspace)
    assert [read_kept(row.run.config_path) for row in experiment.arms] == [kept] * 3
