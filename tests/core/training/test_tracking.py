"""Trackers get the curves of the journals, on the main process, and send nothing anywhere by themselves."""

import math
import os

import pytest
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import ROLLOUT, metrics, reset_accelerate, run

from core.config import trackers
from core.config.supported import check_supported
from core.errors import ConfigError
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.process import request_stop
from core.training import loop
from core.training.build import make_accelerator
from core.training.tracking import scalars, tracked

SHORT = {"max_train_steps": 4, "checkpointing_steps": 2, "drift_samples": 2}


def curves(folder: RunFolder) -> dict[str, dict[int, float]]:
    """What TensorBoard shows: by name, the value at each step, of which none is there twice."""
    found = EventAccumulator(str(folder.logs_dir / "tensorboard"))
    found.Reload()
    events = {name: found.Scalars(name) for name in found.Tags()["scalars"]}
    shown = {name: {event.step: event.value for event in rows} for name, rows in events.items()}
    assert {name: len(rows) for name, rows in events.items()} == {name: len(rows) for name, rows in shown.items()}
    return shown


def numbers(rows: list[dict], name: str) -> dict[int, float]:
    return {row["step"]: row[name] for row in rows if row.get(name) is not None}


def test_tensorboard_shows_the_journals_numbers_of_steps_and_drift(trained):
    folder = trained(report_to="tensorboard", **SHORT, **ROLLOUT)
    shown = curves(folder)
    for name in ("loss", "lr", "grad_norm", "rollout_drift", "rolled"):
        assert shown[f"train/{name}"] == pytest.approx(numbers(metrics(folder), name))
    chain = {row["step"]: row["chain"]["v"] for row in journal.read_all(folder.drift_path) if not row["base"]}
    assert set(chain) == {0, 4}
    assert shown["drift/chain/v"] == pytest.approx(chain)


def test_a_run_that_is_cut_and_resumed_goes_on_in_the_same_curves(trained, config, runs_dir, monkeypatch):
    folder = RunFolder.create(runs_dir, "cut", config(report_to="tensorboard", **SHORT))
    whole, taken = loop.Loop.take_step, []

    def until_third(self):
        whole(self)
        taken.append(self.step)
        if taken == [1, 2, 3]:
            raise OSError("cut")

    monkeypatch.setattr(loop.Loop, "take_step", until_third)
    with pytest.raises(OSError, match="cut"):
        run(folder)
    run(folder, resume=True)
    assert taken == [1, 2, 3, 3, 4]
    assert curves(folder)["train/loss"] == pytest.approx(numbers(metrics(folder), "loss"))


def test_nothing_is_tracked_unless_asked_for(trained):
    assert not trained().logs_dir.exists()


def test_a_tracker_that_is_not_installed_is_refused_with_the_extra_that_adds_it(config, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    assert check_supported(config(report_to="none")) == []
    for name in trackers.EXTRAS:
        (problem,) = check_supported(config(report_to=name))
        assert problem.option == "report_to"
        assert problem.message.endswith(f"got '{name}'; pip install \"rollout-workbench[{name}]\" adds it")


def test_the_training_itself_refuses_a_missing_tracker_before_the_first_step(trained, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="report_to must be none or a tracker that is installed"):
        trained(report_to="tensorboard")


@pytest.fixture
def asked(config, runs_dir, one_thread, monkeypatch):
    """``asked(tracker, after)``: the arguments with which accelerate is asked for a tracker that need not be there."""
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    folder = RunFolder.create(runs_dir, "run", config())

    def ask(tracker: str, after: int = 0) -> dict:
        found = {}
        chosen = config(report_to=tracker)
        monkeypatch.setattr(Accelerator, "init_trackers", lambda self, name, init_kwargs: found.update(init_kwargs))
        reset_accelerate()
        with tracked(make_accelerator(config()), folder, chosen, after):
            pass
        return found[tracker]

    ask.folder = folder
    return ask


def test_wandb_is_offline_until_the_user_says_otherwise_and_has_one_id_for_life(asked, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    first, later = asked("wandb"), asked("wandb", after=7)
    assert first["mode"] == "offline"
    assert first["id"] == later["id"]
    assert first["resume"] == "allow"
    assert first["dir"] == str(asked.folder.logs_dir)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert asked("wandb")["mode"] == "online"


def test_trackio_keeps_its_database_in_the_run_folder_and_names_no_host(asked):
    given = asked("trackio")
    assert not {"space_id", "server_url", "dataset_id", "bucket_id", "webhook_url"} & set(given)
    assert os.environ["TRACKIO_DIR"] == str(asked.folder.logs_dir / "trackio")
    assert (given["name"], given["resume"]) == ("run", "allow")


def test_only_the_main_process_tracks(asked, config, monkeypatch):
    monkeypatch.setattr(Accelerator, "is_main_process", False)
    with pytest.raises(KeyError):
        asked("wandb")


def test_a_curve_has_no_point_where_the_journal_has_no_number():
    record = {"step": 3, "loss": 1.5, "drift": None, "v": math.nan, "base": True, "grid": [1.0], "chain": {"v": -0.5}}
    assert scalars("train", record) == {"train/loss": 1.5, "train/chain/v": -0.5}


def test_a_stopped_run_ends_its_tracker(config, runs_dir, one_thread, monkeypatch):
    folder = RunFolder.create(runs_dir, "stopped", config(report_to="tensorboard", **SHORT))
    ended = []
    whole = loop.Loop.take_step
    monkeypatch.setattr(loop.Loop, "take_step", lambda self: (whole(self), request_stop(folder)))
    from accelerate.tracking import TensorBoardTracker

    monkeypatch.setattr(TensorBoardTracker, "finish", lambda self: ended.append(True))
    run(folder)
    assert ended == [True]
