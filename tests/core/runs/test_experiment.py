import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
from driven import Stub, Until, arm_trains, driver, labels

from core.config.flat import difference
from core.config.run import RunConfig
from core.errors import ConfigError, RunError
from core.runs.arms import Arm, changed, teacher_forced, too_long
from core.runs.experiment import (
    Experiment,
    advance_experiment_stop,
    arm_command,
    create_experiment,
    experiment_state,
    find_experiment,
    kill_experiment,
    list_experiments,
    run_experiment,
    start_experiment,
    stop_experiment,
)
from core.runs.folder import RunFolder
from core.runs.launch import child_environment
from core.runs.liveness import read_identity
from core.runs.lock import training_in_progress
from core.runs.process import start_run, stop_run, wait_for_end
from core.runs.records import Event, read_records
from core.runs.status import read_status
from core.runs.workspace import Workspace

K = "scheduled_sampling_max_step_offset"


@pytest.fixture
def experiment(workspace: Workspace, config: RunConfig) -> Experiment:
    return create_experiment(workspace, "Demo AB", config)


def test_arms_share_everything_but_what_they_declare(workspace: Workspace, config: RunConfig) -> None:
    experiment = create_experiment(workspace, "all", config, ["teacher-forced", "rollout", "too-long"])
    forced, rollout, long = [arm.run.config() for arm in experiment.arms]
    assert rollout == config
    assert difference(config, forced) == {K: (3, 0)}
    assert forced == teacher_forced(config)
    assert long == too_long(config)
    assert long.scheduled_sampling.max_step_offset * long.scheduled_sampling.stride == 375
    assert [arm.changes for arm in experiment.arms] == [
        {K: 0},
        {},
        {"scheduled_sampling_stride": 125, "scheduled_sampling_probability": 1.0},
    ]


def test_an_experiment_is_read_back_from_its_folder(workspace: Workspace, experiment: Experiment) -> None:
    again = find_experiment(workspace, "demo-ab")
    assert again == experiment
    assert (again.title, again.name) == ("Demo AB", "demo-ab")
    assert [arm.run.path for arm in again.arms] == [experiment.path / "teacher-forced", experiment.path / "rollout"]
    assert again.arms[0].run.meta()["arm"] == "teacher-forced"
    assert (experiment_state(again).label, experiment_state(again).final) == ("queued", False)


def test_experiments_are_listed_newest_first(workspace: Workspace, experiment: Experiment, config: RunConfig) -> None:
    newer = create_experiment(workspace, "Demo AB", config)
    (workspace.experiments_dir / "rubbish").mkdir()
    assert newer.name == "demo-ab-2"
    assert list_experiments(workspace) == [newer, experiment]


@pytest.mark.parametrize("name", ["..", "demo/ab", "", "/etc"])
def test_an_experiment_s_name_is_not_trusted(workspace: Workspace, experiment: Experiment, name: str) -> None:
    with pytest.raises(RunError, match="experiment must be a name such as"):
        find_experiment(workspace, name)
    with pytest.raises(RunError, match="experiment must be one of those in"):
        find_experiment(workspace, "none")


def test_an_unfair_experiment_leaves_nothing_behind(workspace: Workspace, config: RunConfig) -> None:
    other = changed(config, {"learning_rate": 0.5, K: 2})
    arm = Arm("mine", "Mine", other, {"learning_rate": 0.5, K: 2})
    with pytest.raises(RunError, match=r"got mine with another learning_rate$"):
        create_experiment(workspace, "unfair", config, ["rollout", arm])
    assert list_experiments(workspace) == []


def test_an_arm_that_changes_more_than_it_declares_is_refused(workspace: Workspace, config: RunConfig) -> None:
    arm = Arm("mine", "Mine", changed(config, {K: 2, "scheduled_sampling_stride": 5}), {K: 2})
    for wrong in (arm, dataclasses.replace(arm, changes={K: 1, "scheduled_sampling_stride": 5})):
        with pytest.raises(RunError, match="must declare exactly what they change, got mine"):
            create_experiment(workspace, "unfair", config, ["rollout", wrong])


def test_arms_that_are_the_same_training_are_refused(workspace: Workspace, config: RunConfig) -> None:
    for off in (teacher_forced(config), changed(config, {"scheduled_sampling_probability": 0.0})):
        with pytest.raises(RunError, match=r"must be different trainings.*max_step_offset"):
            create_experiment(workspace, "same", off)
    with pytest.raises(RunError, match="arms must have names of their own, got rollout twice"):
        create_experiment(workspace, "same", config, ["rollout", "rollout"])
    with pytest.raises(RunError, match=r"arm must be one of teacher-forced, rollout, .*, too-long, got"):
        create_experiment(workspace, "same", config, ["rolled"])


def test_an_arm_that_is_no_valid_config_is_refused_with_its_problem(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="scheduled_sampling_max_step_offset"):
        changed(config, {K: 900})


def test_a_failing_first_arm_does_not_stop_the_others(experiment: Experiment, stub: Stub) -> None:
    lines: list[str] = []
    state = run_experiment(
        experiment,
        say=lines.append,
        command=lambda run: stub(run, "crash" if run.name == "teacher-forced" else "finish"),
    )
    assert (state.label, labels(experiment)) == ("failed", ["failed", "done"])
    assert state.message == "1 of 2 arms did not end well: teacher-forced failed"
    assert "cat.png" in state.arms[0][1].message
    assert any(line.startswith("teacher-forced: failed") and "cat.png" in line for line in lines)
    assert any(line.startswith("rollout: done") for line in lines)
    exits = [event for event in read_records(Event, experiment.folder.events_path) if event.kind == "exit"]
    assert [(event.details["arm"], event.details["code"]) for event in exits] == [("teacher-forced", 1), ("rollout", 0)]


def test_an_arm_that_cannot_be_started_does_not_stop_the_others(experiment: Experiment, stub: Stub) -> None:
    state = run_experiment(
        experiment, command=lambda run: ["/no/python"] if run.name == "teacher-forced" else stub(run, "finish")
    )
    assert labels(experiment) == ["failed", "done"]
    assert "/no/python" in state.arms[0][1].message


def test_an_experiment_in_the_background_is_done_when_all_arms_are(experiment: Experiment, until: Until) -> None:
    start_experiment(experiment, command=driver(experiment))
    assert experiment_state(experiment).label == "running"
    until(lambda: experiment_state(experiment).final)
    state = experiment_state(experiment)
    assert (state.label, labels(experiment)) == ("done", ["done", "done"])
    assert "rollout: done" in experiment.folder.log_path.read_text()
    with pytest.raises(RunError, match="experiment must be one that is not done"):
        start_experiment(experiment, command=driver(experiment))


def test_only_arms_that_are_not_done_are_trained_again(experiment: Experiment, stub: Stub) -> None:
    run_experiment(experiment, command=lambda run: stub(run, "finish" if run.name == "rollout" else "crash"))
    before = experiment.arms[1].run.status_path.read_bytes()
    assert run_experiment(experiment, command=lambda run: stub(run, "finish")).label == "done"
    assert experiment.arms[1].run.status_path.read_bytes() == before


def test_an_arm_goes_on_from_the_checkpoint_that_an_earlier_attempt_left(experiment: Experiment) -> None:
    run = experiment.arms[0].run
    assert arm_command(run) == [sys.executable, "-m", "core", "run", str(run.path)]
    (run.checkpoints_dir / "step-000500").mkdir()
    assert arm_command(run) == [sys.executable, "-m", "core", "resume", str(run.path)]


def test_a_stopped_experiment_stops_its_arm_cleanly_and_starts_no_other(experiment: Experiment, until: Until) -> None:
    start_experiment(experiment, command=driver(experiment, "teacher-forced=train"))
    until(arm_trains(experiment, 0))
    assert stop_experiment(experiment).label == "stopping"
    until(lambda: advance_experiment_stop(experiment).final)
    state = experiment_state(experiment)
    assert (state.label, labels(experiment)) == ("stopped", ["stopped", "stopped"])
    assert state.arms[0][1].message == "stopped and saved"
    assert state.arms[1][1].message == "not trained: the experiment ended before its turn"
    start_experiment(experiment, command=driver(experiment))
    until(lambda: experiment_state(experiment).final)
    assert labels(experiment) == ["done", "done"]


def test_a_stop_ends_an_arm_that_ignores_it(experiment: Experiment, until: Until) -> None:
    start_experiment(experiment, command=driver(experiment, "teacher-forced=stubborn"))
    until(lambda: read_status(experiment.arms[0].run).message.isdigit())
    stop_experiment(experiment, grace=0.1)
    until(lambda: advance_experiment_stop(experiment).final)
    assert experiment_state(experiment).label == "stopped"
    assert "SIGKILL" in experiment_state(experiment).arms[0][1].message


def test_a_kill_ends_the_arm_at_once_and_starts_no_other(experiment: Experiment, until: Until) -> None:
    start_experiment(experiment, command=driver(experiment, "teacher-forced=stubborn"))
    until(lambda: read_status(experiment.arms[0].run).message.isdigit())
    kill_experiment(experiment)
    until(lambda: experiment_state(experiment).final)
    assert (experiment_state(experiment).label, labels(experiment)) == ("stopped", ["stopped", "stopped"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_driver_stops_the_arm_cleanly(experiment: Experiment, until: Until, number: int) -> None:
    foreground = subprocess.Popen(driver(experiment, "teacher-forced=train"), env=child_environment())
    until(arm_trains(experiment, 0))
    foreground.send_signal(number)
    assert foreground.wait(timeout=15) == 0
    assert (experiment_state(experiment).label, labels(experiment)) == ("stopped", ["stopped", "stopped"])
    assert experiment_state(experiment).arms[0][1].message == "stopped and saved"


def test_a_second_signal_to_the_driver_ends_the_arm_at_once(experiment: Experiment, until: Until) -> None:
    foreground = subprocess.Popen(driver(experiment, "teacher-forced=stubborn"), env=child_environment())
    until(lambda: read_status(experiment.arms[0].run).message.isdigit())
    foreground.send_signal(signal.SIGINT)
    until(lambda: experiment.arms[0].run.stop_path.exists())
    foreground.send_signal(signal.SIGINT)
    assert foreground.wait(timeout=4) == 0
    assert labels(experiment) == ["stopped", "stopped"]


def test_nothing_else_starts_while_an_experiment_is_in_progress(
    workspace: Workspace, experiment: Experiment, config: RunConfig, stub: Stub, until: Until
) -> None:
    start_experiment(experiment, command=driver(experiment, "teacher-forced=train"))
    other = create_experiment(workspace, "other", config)
    run = RunFolder.create(workspace.runs_dir, "single", config)
    busy = 'experiment "demo-ab" is in progress'
    with pytest.raises(RunError, match=busy):
        start_experiment(other, command=driver(other))
    with pytest.raises(RunError, match=busy):
        start_run(run, command=stub(run, "finish"))
    with pytest.raises(RunError, match=busy):
        run_experiment(other, command=lambda run: stub(run, "finish"))
    assert experiment_state(other).label == "queued"
    until(arm_trains(experiment, 0))
    stop_experiment(experiment)
    until(lambda: experiment_state(experiment).final)
    until(lambda: training_in_progress(workspace.root) is None)


def test_no_experiment_starts_while_a_run_is_in_progress(experiment: Experiment, run: RunFolder, stub: Stub) -> None:
    start_run(run, command=stub(run, "train"))
    with pytest.raises(RunError, match='run "demo" is in progress'):
        start_experiment(experiment, command=driver(experiment))
    stop_run(run)
    assert wait_for_end(run, 15).label == "stopped"


def test_the_death_of_the_driver_is_told_and_the_arm_goes_on(
    workspace: Workspace, experiment: Experiment, until: Until
) -> None:
    start_experiment(experiment, command=driver(experiment, "teacher-forced=train"))
    until(arm_trains(experiment, 0))
    identity = read_identity(experiment.folder.process_path)
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: not identity.alive())
    state = experiment_state(experiment)
    assert state.label == "running"
    assert state.message.startswith("teacher-forced goes on, but the process that would start the next arm is gone")
    assert training_in_progress(workspace.root) == 'run "teacher-forced"'
    stop_experiment(experiment)
    until(lambda: advance_experiment_stop(experiment).final)
    assert labels(experiment) == ["stopped", "stopped"]


def test_an_arm_that_leads_out_of_the_experiment_is_left_out(experiment: Experiment) -> None:
    facts = json.loads(experiment.file_path.read_text())
    facts["arms"] += [{"arm": "evil", "run": "../../secret"}, {"arm": "none"}, 7]
    experiment.file_path.write_text(json.dumps(facts))
    assert [arm.arm for arm in experiment.arms] == ["teacher-forced", "rollout"]
