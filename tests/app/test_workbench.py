"""What the page can do, without a browser."""

import json
import os
import shlex
import sys
import time

import pytest

from app.charts import REDRAW_AFTER, Charts
from app.design import TWO_ARMS
from app.history import plain_step_seconds
from app.journals import Journals, file_signature
from app.samples import samples_of
from app.selection import Selection, parse_selection
from core.config import supported
from core.config.flat import difference, parse_text
from core.errors import ConfigError, RunError, WorkbenchError
from core.runs import process
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from core.runs.status import Status, write_status
from core.samples.found import Spot
from tests.support.fabricated import changed, finish, make_experiment, write_sample, write_steps


@pytest.mark.parametrize("text", ["runs/demo", "experiments/demo-ab-2"])
def test_a_selection_goes_to_an_address_and_back(text):
    assert str(parse_selection(text)) == text


@pytest.mark.parametrize(
    "text", ["", None, "demo", "runs/", "runs/../etc", "runs/a/b", "else/demo", "runs/.hidden", 7, "runs/Ä"]
)
def test_anything_else_is_no_selection(text):
    assert parse_selection(text) is None


def test_a_selection_that_leads_out_of_the_workspace_or_to_nothing_shows_nothing(workbench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (workbench.workspace.runs_dir / "link").symlink_to(outside)
    assert workbench.entry("runs/link") is None
    assert workbench.entry("experiments/none") is None


def test_experiments_and_runs_are_listed_newest_first(workbench, experiment, demo):
    time.sleep(0.01)
    run = RunFolder.create(workbench.workspace.runs_dir, "Single", demo)
    listed = workbench.entries()
    assert [str(entry.selection) for entry in listed] == ["runs/single", "experiments/orange-cat"]
    assert [arm.label for arm in listed[1].arms] == ["teacher-forced", "rollout"]
    assert listed[1].label == "done"
    assert workbench.entry("runs/single").arms[0].folder.path == run.path


def test_runs_of_one_title_are_told_apart_by_their_folders(workbench, demo):
    for title in ("My cat", "My cat", "Other"):
        RunFolder.create(workbench.workspace.runs_dir, title, demo)
    assert dict(workbench.titles()) == {
        "My cat: my-cat": "runs/my-cat", "My cat: my-cat-2": "runs/my-cat-2", "Other": "runs/other",
    }  # fmt: skip


def test_what_trains_now_is_found_and_nothing_when_all_is_over(workbench, experiment, demo):
    assert workbench.active() is None
    run = RunFolder.create(workbench.workspace.runs_dir, "Busy", demo)
    own = Identity.of(os.getppid())
    record_launch(workbench.workspace.root, 'run "busy"', run.path, own)
    write_status(
        run, Status(phase="training", step=3, total=9, pid=own.pid, create_time=own.create_time, heartbeat=time.time())
    )
    assert workbench.active().selection == Selection("runs", "busy")


@pytest.mark.parametrize("mode", ["ab", "single"])
def test_a_start_beside_another_is_refused_and_leaves_no_folder(workbench, demo, mode):
    other = Identity.of(os.getppid())
    record_launch(workbench.workspace.root, 'run "busy"', workbench.workspace.runs_dir / "busy", other)
    with pytest.raises(RunError, match='while run "busy" is in progress; wait for it or stop it'):
        workbench.start(demo, mode, "Second")
    assert workbench.entries() == []


def test_starting_an_ab_makes_arms_that_differ_in_k_alone(workbench, demo, monkeypatch):
    started = []
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: started.append(experiment.name))
    selection = workbench.start(demo, "ab", "My cat")
    assert started == [selection.name]
    first, second = (arm.folder.config() for arm in workbench.entry(selection).arms)
    assert difference(first, second) == {"scheduled_sampling_max_step_offset": (0, 3)}


def test_the_third_arm_comes_on_demand(workbench, demo, monkeypatch):
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: None)
    selection = workbench.start(demo, "ab", "Three", arms=["too-long"])
    assert [arm.label for arm in workbench.entry(selection).arms] == ["teacher-forced", "rollout", "too-long"]


def test_what_this_version_cannot_train_is_refused_before_a_folder_is_made(workbench, demo, monkeypatch):
    monkeypatch.setattr(
        supported, "LIMITS", (supported.Limit("rank", "at most 2", lambda config: config.lora.rank <= 2),)
    )
    with pytest.raises(ConfigError, match="rank must be at most 2"):
        workbench.start(demo, "ab", "big")
    assert workbench.entries() == []


def test_a_run_is_started_in_the_background_and_stopped_from_the_page(workbench, demo, monkeypatch):
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr("app.workbench.start_run", lambda folder: process.start_run(folder, command=sleeper))
    selection = workbench.start(demo, "single", "Sleeper")
    folder = workbench.entry(selection).arms[0].folder
    try:
        assert workbench.active().selection == selection
        with pytest.raises(RunError, match="sleeper"):
            workbench.start(demo, "single", "Second")
        assert "asked to stop" in workbench.stop(str(selection))
        assert workbench.entry(selection).label == "stopping"
    finally:
        process.kill_run(folder)
    assert process.wait_for_end(folder, 10).label == "stopped"
    assert "not running" in workbench.stop(str(selection))


def test_stopping_something_that_is_not_there_is_an_error(workbench):
    with pytest.raises(WorkbenchError, match="reload"):
        workbench.stop("runs/gone")


def test_own_presets_are_kept_in_the_workspace_beside_the_shipped_ones(workbench, demo):
    config = changed(demo, rank=3)
    name = workbench.keep_preset("My cat, long", config)
    assert workbench.presets()[name].config == config
    assert not workbench.presets()[name].shipped
    with pytest.raises(ConfigError):
        workbench.keep_preset("demo", config)


@pytest.mark.parametrize("nested", [True, False])
def test_a_config_as_text_is_taken_nested_or_flat_and_completed(workbench, demo, nested):
    text = json.dumps({"lora": {"rank": 2}} if nested else {"rank": 2, "scheduled_sampling_stride": 7})
    config = workbench.import_text(text)
    assert config.lora.rank == 2
    assert config.data == demo.data
    assert config.scheduled_sampling.stride == (demo.scheduled_sampling.stride if nested else 7)


def test_an_exported_config_comes_back_the_same(workbench, demo):
    config = changed(demo, rank=5, scheduled_sampling_sampler="euler", validation_prompts=("a", "b"))
    assert workbench.import_text(json.dumps(config.model_dump(mode="json"))) == config


@pytest.mark.parametrize("text", ["{", "[]", '{"rnak": 3}', '{"rank": 0, "seed": -1}'])
def test_a_config_as_text_that_is_wrong_is_refused_with_its_problems(workbench, text):
    with pytest.raises(ConfigError):
        workbench.import_text(text)


def test_the_command_does_the_same(workbench, demo):
    config = changed(demo, rank=5, validation_prompts=("it's a cat", "a dog"), snr_gamma=5.0)
    words = shlex.split(workbench.command(config, "demo", TWO_ARMS))
    assert words[:5] == ["python", "-m", "core", "ab", "demo"]
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    assert changed(demo, **{name: parse_text(name, text) for name, text in settings.items()}) == config


def test_minutes_are_forecast_from_a_training_alike_and_from_no_other(workbench, demo):
    def seconds(config):
        return plain_step_seconds(workbench.runs(), workbench.journals, config)

    assert seconds(demo) is None
    make_experiment(workbench.workspace)
    assert seconds(demo) == pytest.approx(0.2)
    assert seconds(changed(demo, train_batch_size=2)) is None


def test_an_unnamed_training_is_called_after_its_preset_or_after_ones_own_pictures(workbench, demo):
    own = changed(demo, instance_data_dir="/home/me/My Cat")
    assert workbench.default_name(demo, "ab", "demo") == "demo-ab"
    assert workbench.default_name(own, "single", "demo") == "my-cat"
    assert workbench.default_name(None, "ab", "demo") == "demo-ab"
    assert workbench.default_name(own, "ab", "gone") == "training-ab"


def test_journals_read_what_is_appended_and_begin_anew_when_cut(workbench, demo):
    run = RunFolder.create(workbench.workspace.runs_dir, "Grows", demo)
    journals = Journals()
    assert journals.steps(run.metrics_path) == []
    write_steps(run, 3)
    assert [record.step for record in journals.steps(run.metrics_path)] == [1, 2, 3]
    write_steps(run, 2, first=4)
    assert len(journals.steps(run.metrics_path)) == 5
    run.metrics_path.write_text("")
    write_steps(run, 1)
    assert len(journals.steps(run.metrics_path)) == 1


def test_a_signature_changes_with_its_files_only(tmp_path):
    path = tmp_path / "a"
    missing = file_signature(path)
    path.write_text("1")
    once = file_signature(path)
    assert missing != once == file_signature(path)
    path.write_text("12")
    assert file_signature(path) != once


def test_samples_are_found_by_name_and_nothing_else_is(workbench, demo):
    run = RunFolder.create(workbench.workspace.runs_dir, "Pictures", demo)
    path = write_sample(run, 500, 1, 43)
    (path.parent / "p00-s1.txt").write_text("no picture")
    (path.parent / "p00-s1.png").symlink_to("/etc/hostname")
    (run.samples_dir / "other").mkdir()
    assert samples_of(run) == {Spot(500, 1, 43): path}


def test_a_plot_is_drawn_once_per_change_and_not_at_every_step_of_a_running_training():
    now = [0.0]
    charts, drawn = Charts(lambda: now[0]), []

    def series():
        drawn.append(now[0])
        return {}

    for signature in ("a", "a"):
        charts.show("loss", "x", signature, series)
    assert len(drawn) == 1
    _, shown = charts.show("loss", "x", "b", series, live=True)
    assert (shown, len(drawn)) == ("a", 1)
    now[0] += REDRAW_AFTER
    _, shown = charts.show("loss", "x", "b", series, live=True)
    assert (shown, len(drawn)) == ("b", 2)
    charts.show("loss", "x", "c", series)
    assert len(drawn) == 3


def test_a_failed_arm_and_its_cause_are_told(workbench, workspace):
    made = make_experiment(workspace)
    finish(made.arms[1].run, "failed", 12, error="the loss is not finite at step 12", hint="lower learning_rate")
    arm = workbench.entry("experiments/orange-cat").arms[1]
    assert arm.state.label == "failed"
    assert arm.state.hint == "lower learning_rate"


def test_a_stopped_experiment_goes_on_with_what_is_missing(workbench, workspace, demo, monkeypatch):
    started = []
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: started.append(experiment.name))
    made = make_experiment(workspace)
    with pytest.raises(RunError, match="must be stopped, failed, lost, got Orange cat, which is done"):
        workbench.resume("experiments/orange-cat")
    finish(made.arms[1].run, "stopped", 12)
    finish(made.folder, "stopped")
    assert workbench.resume("experiments/orange-cat") == "Orange cat goes on: 1 of 2 trainings are left."
    assert started == ["orange-cat"]


@pytest.mark.parametrize(("checkpoint", "verb"), [(False, "run"), (True, "resume")])
def test_a_lost_or_failed_run_goes_on_from_its_checkpoint_or_anew(
    workbench, workspace, demo, monkeypatch, checkpoint, verb
):
    started = []
    monkeypatch.setattr("app.workbench.start_run", lambda folder, verb: started.append((folder.name, verb)))
    run = RunFolder.create(workspace.runs_dir, "Broken", demo)
    finish(run, "failed", 12, error="out of memory")
    if verb == "resume":
        (run.checkpoints_dir / "step-000010").mkdir()
    said = workbench.resume("runs/broken")
    assert ("last checkpoint" in said) == (verb == "resume")
    assert started == [("broken", verb)]


def test_resuming_beside_another_training_is_refused(workbench, workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Stopped", demo)
    finish(run, "stopped", 12)
    record_launch(workspace.root, 'run "busy"', workspace.runs_dir / "busy", Identity.of(os.getppid()))
    with pytest.raises(RunError, match='while run "busy" is in progress'):
        workbench.resume("runs/stopped")
    with pytest.raises(RunError, match="reload the page"):
        workbench.resume("runs/gone")
