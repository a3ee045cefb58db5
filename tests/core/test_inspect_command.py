"""``inspect`` and ``score``: what is typed, what is said, what is written, and the exit status."""

import json
import shutil
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_runs import ADAPTER, alone, bases, one_thread, pictures, tiny_config
from tiny_runs import run as train
from typed_commands import typed

from core.config.flat import flatten
from core.evaluation import sweep
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.inspection import read_inspection
from core.runs.inspections import inspection_folder, inspection_state, start_inspection
from core.runs.process import request_stop
from core.runs.records import read_records
from core.runs.scoring import scoring_folder
from core.runs.status import read_status
from core.runs.workspace import Workspace

__all__ = ["bases", "one_thread", "pictures", "typed"]

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"drift_samples": 2, "validation_num_inference_steps": 4}


@pytest.fixture(scope="module")
def finished(bases, pictures, tmp_path_factory) -> RunFolder:
    with alone():
        folder = RunFolder.create(
            tmp_path_factory.mktemp("space") / "runs", "run", tiny_config(bases, pictures, **SMALL)
        )
        train(folder)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> RunFolder:
    return RunFolder(shutil.copytree(finished.path, tmp_path / "workspace" / "runs" / "run"))


@pytest.fixture
def preset(bases, pictures, tmp_path) -> str:
    """A config file that lends base model and pictures."""
    path = tmp_path / "tiny.json"
    flat = flatten(tiny_config(bases, pictures, **SMALL))
    path.write_text(json.dumps({name: value for name, value in flat.items() if value is not None}))
    return str(path)


def folder_of(lines: list[str]) -> RunFolder:
    return RunFolder(Path(lines[-1].removeprefix("folder: ")))


def test_a_run_is_inspected_in_words(typed, run):
    code, out, _ = typed("inspect", "run")
    assert code == 0
    text = "\n".join(out)
    assert "diffusers keys" in text
    assert "rank 2" in text
    labels = ["M1", "V of the states", "G0", "G1", "G2", "V at the end of the chain", "Diversity"]
    assert all(label in text for label in labels)
    order = [text.index(label) for label in ("V of the states", "true state G0", "start G1", "gap G2")]
    assert order == sorted(order)
    assert folder_of(out) == inspection_folder(run)
    assert read_status(folder_of(out)).phase == "done"


def test_every_number_has_a_unit_and_a_reading(typed, run):
    _, out, _ = typed("inspect", "run")
    rows = [line for line in out if line.startswith("  ") and "+" in line]
    assert len(rows) > 10
    assert all("; " in line for line in rows)


def test_a_file_is_inspected_into_a_folder_of_its_own(typed, run, preset, tmp_path):
    path = Path(shutil.copy(run.adapter_dir / ADAPTER, tmp_path / "My Cat.safetensors"))
    code, out, _ = typed("inspect", str(path), "--preset", preset)
    assert code == 0
    assert folder_of(out).path == tmp_path / "workspace" / "inspections" / "my-cat"
    assert read_inspection(folder_of(out)).adapter == str(path)
    again = folder_of(typed("inspect", str(path), "--preset", preset)[1])
    assert again.name == "my-cat-2"


def test_a_base_is_inspected_as_json_with_other_options(typed, preset, tmp_path):
    words = [
        "inspect",
        "base",
        "--preset",
        preset,
        "--set",
        "drift_samples=3",
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    code, out, _ = typed(*words)
    assert code == 0
    found = json.loads(out[-1])
    assert found["what"] == "base"
    assert found["folder"] == str(tmp_path / "out")
    assert [record["chain"]["samples"] for record in found["records"]] == [3]


def test_a_file_that_does_not_fit_is_bad_input_with_its_keys(typed, run, preset, tmp_path):
    tensors = load_file(run.adapter_dir / ADAPTER)
    path = tmp_path / "other.safetensors"
    save_file({key.replace("unet.", "unet.other."): tensor for key, tensor in tensors.items()}, path)
    code, _, err = typed("inspect", str(path), "--preset", preset)
    assert code == 2
    wrong = [line for line in err if line.startswith("error: ")]
    assert wrong[0].startswith("error: unet.other.")
    assert "more keys" in wrong[-1]
    (folder,) = (tmp_path / "workspace" / "inspections").iterdir()
    assert len(read_inspection(RunFolder(folder)).problems) == len(tensors) / 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gone",), 1, "run must be one of those"),
        (("gone.safetensors",), 2, "exists"),
        (("lora.ckpt",), 2, ".safetensors"),
        (("base", "--preset", "nonsense"), 2, "nonsense"),
        (("run", "--set", "rank=3"), 2, "--set"),
    ],
)
def test_what_cannot_be_inspected_is_one_sentence(typed, run, words, code, said):
    found, _, err = typed("inspect", *words)
    assert found == code
    assert len(err) == 1
    assert said in err[0]


def test_a_run_that_is_not_finished_is_refused(typed, bases, pictures, tmp_path):
    RunFolder.create(tmp_path / "workspace" / "runs", "waiting", tiny_config(bases, pictures))
    code, _, err = typed("inspect", "waiting")
    assert (code, len(err)) == (1, 1)
    assert "finished run" in err[0]
    assert typed("score", "waiting")[0] == 1


def test_other_things_in_the_folder_are_not_touched(typed, run, preset, tmp_path):
    before = run.drift_path.read_bytes()
    code, _, err = typed("inspect", "base", "--preset", preset, "--out", str(run.path))
    assert code == 1
    assert "--out must be a new or empty folder" in err[0]
    assert run.drift_path.read_bytes() == before


def test_a_stop_request_ends_it_without_a_result(typed, run, monkeypatch):
    def stopped(out, *_):
        request_stop(out)
        return []

    monkeypatch.setattr("core.evaluation.strips.save_films", lambda subject, found, which, out: stopped(out))
    code, out, _ = typed("inspect", "run")
    folder = inspection_folder(run)
    assert code == 1
    assert out[-1].startswith("stopped")
    assert read_status(folder).phase == "stopped"
    assert not (folder.path / "inspection.json").exists()


def test_an_experiment_is_scored_and_a_second_time_costs_nothing(typed, run, bases, pictures, tmp_path):
    path = tmp_path / "workspace" / "experiments" / "ab"
    arms = [RunFolder(shutil.copytree(run.path, path / name)) for name in ("teacher-forced", "rollout")]
    waiting = RunFolder.create(path, "waiting", tiny_config(bases, pictures))
    rows = [{"arm": arm.name, "run": arm.name, "label": arm.name, "changes": {}} for arm in (*arms, waiting)]
    (path / "experiment.json").write_text(json.dumps({"name": "ab", "arms": rows}))
    words = ["score", "ab", "--steps", "2", "--guidance", "1,2", "--samples", "3"]
    code, out, err = typed(*words)
    assert code == 0
    assert any("waiting" in line and "passed over" in line for line in err)
    for arm in arms:
        told = {
            (record.scope, record.base, record.chain.inference_steps, record.chain.guidance)
            for record in read_records(DriftRecord, arm.drift_path)
            if record.scope != "checkpoint"
        }
        sampled = {(2, 1.0), (4, 1.0), (4, 2.0)}
        assert told == {("full", base, 4, 1.0) for base in (True, False)} | {
            ("sweep", base, *each) for base in (True, False) for each in sampled
        }
    before = [arm.drift_path.read_bytes() for arm in arms]
    code, out, _ = typed(*words)
    assert code == 0
    assert [line for line in out if "0 of 8" in line] == out
    assert [arm.drift_path.read_bytes() for arm in arms] == before


def test_a_scoring_says_how_it_ended_and_keeps_what_it_measured_when_it_is_stopped(typed, run, monkeypatch):
    words = ("score", "run", "--steps", "2", "--guidance", "1", "--samples", "2")
    folder = scoring_folder(run.path)
    real = sweep.carry_out

    def stopped_after_one(work, *rest):
        for count, record in enumerate(real(work, *rest)):
            if count == 0:
                request_stop(folder)
            yield record

    with monkeypatch.context() as patched:
        patched.setattr(sweep, "carry_out", stopped_after_one)
        assert typed(*words)[0] == 1
    assert read_status(folder).phase == "stopped"
    kept = [record for record in read_records(DriftRecord, run.drift_path) if record.scope != "checkpoint"]
    assert 1 <= len(kept) < 6
    assert typed(*words)[0] == 0
    assert read_status(folder).phase == "done"


@pytest.mark.parametrize(
    ("option", "value"), [("--steps", "0"), ("--steps", "4,x"), ("--steps", ""), ("--guidance", "0.5")]
)
def test_lists_that_are_none_are_refused(typed, run, option, value):
    code, _, err = typed("score", "run", option, value)
    assert code == 2
    assert err[0].startswith(f"error: {option} must list numbers")


def test_what_the_page_starts_ends_as_done(bases, pictures, tmp_path, one_thread):
    workspace = Workspace(tmp_path / "workspace")
    folder = start_inspection(workspace, "base", "", tiny_config(bases, pictures, **SMALL))
    deadline = time.monotonic() + 90
    while not inspection_state(folder).final and time.monotonic() < deadline:
        time.sleep(0.05)
    assert inspection_state(folder).label == "done", folder.log_path.read_text()
    assert read_inspection(folder).what == "base"
    assert folder.path.name.startswith("base-")
