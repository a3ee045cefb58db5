"""Monitor over experiments of many trainings: readable cards, alarms, and going on with what is missing."""

import os
import time

import pytest

from app.grouping import arm_and_seed, arms_in_words, in_view
from app.tabs import monitor
from core.runs.alarms import KIND
from core.runs.experiment import create_experiment
from core.runs.liveness import Identity
from core.runs.records import record_event
from core.runs.status import Status, write_status
from tests.support.fabricated import finish, look_at, write_probe, write_sample, write_steps

ARMS = ("teacher-forced", "rollout", "equal-compute", "replicate")


@pytest.fixture
def many(workspace, demo):
    """Six seeds of four arms: two seeds done, the third at its second arm, which runs."""
    made = create_experiment(workspace, "Many", demo, ARMS, seeds=6)
    own = Identity.of(os.getppid())
    for place, arm in enumerate(made.arms):
        arm.run.log_path.write_text(f"hello from {arm.run.name}\n")
        if place < 9:
            write_steps(arm.run, 2)
            write_probe(arm.run, 0, -0.1)
            write_sample(arm.run, 0)
            finish(arm.run)
        elif place == 9:
            status = Status(phase="training", step=15, total=30, pid=own.pid, create_time=own.create_time)
            write_status(arm.run, status)
            write_sample(arm.run, 0)
    running = Status(phase="training", pid=own.pid, create_time=own.create_time, heartbeat=time.time())
    write_status(made.folder, running)
    return made


def look(parts, slot, seen=""):
    return look_at(parts, "monitor", seen, selection="experiments/many")[0][f"monitor.{slot}"]


def test_the_seed_is_told_from_the_arm():
    assert arm_and_seed("rollout-s43") == ("rollout", 43)
    assert arm_and_seed("teacher-forced") == ("teacher-forced", None)
    assert arm_and_seed("too-long-s4294967295") == ("too-long", 4294967295)


def test_many_trainings_are_a_table_of_seeds_and_the_running_one_is_large(parts, many):
    html = look(parts, "status")
    assert "9 of 24 trainings done" in html
    assert html.count("<section") == 1
    assert "<h3>rollout-s" in html
    body = html.split("<tbody>")[1]
    assert body.count("<tr>") == 6
    assert body.count("<td>") == 24
    assert body.count("rw-state-done") == 9
    assert body.count("running 50 %") == 1
    assert body.count("rw-state-queued") == 14


def test_of_many_failures_three_are_told_with_their_cause_and_the_others_by_name(parts, many):
    for place in range(5):
        finish(many.arms[place].run, "failed", 12, error=f"cause {place}", hint="lower learning_rate")
    html = look(parts, "status")
    assert html.count('role="alert"') == 3
    assert f"Failed or lost too: {many.arms[3].run.name}, {many.arms[4].run.name}." in html


def test_pictures_and_logs_are_those_of_the_seed_that_is_trained(parts, workbench, many):
    seed = many.seeds[2]
    shown = in_view(workbench.entry("experiments/many"))
    assert [arm.label for arm in shown] == [f"teacher-forced-s{seed}", f"rollout-s{seed}"]
    samples, log = look(parts, "samples"), look(parts, "log")
    assert f"Training seed {seed} alone, of 24 trainings" in samples
    assert samples.count("<img") == 2
    assert f"hello from rollout-s{seed}" in log
    assert f"rollout-s{many.seeds[0]}" not in log


def test_few_trainings_are_all_in_view(workbench, experiment):
    entry = workbench.entry("experiments/orange-cat")
    assert in_view(entry) == entry.arms


def test_lists_name_the_arms_once_and_count_the_seeds(parts, workbench, many):
    assert arms_in_words(workbench.entry("experiments/many").arms) == f"{', '.join(ARMS)}, 6 seeds"
    assert "replicate, 6 seeds" in look_at(parts, "home")[0]["home.list"]


def test_a_drift_alarm_is_told_once_a_metric_with_what_to_do(parts, experiment):
    run = experiment.arms[1].run
    for step in (10, 20):
        text = f"V at step {step} is 9.0 % below teacher forcing: its samples <shrink>"
        record_event(run.events_path, KIND, text, step=step, metric="v_end", change=-0.09)
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.alarms"]
    assert "Drift alarm, rollout" in html
    assert "V at step 20 is 9.0 % below teacher forcing: its samples &lt;shrink&gt;." in html
    assert "step 10" not in html
    assert "Lower the rollout probability or K" in html
    assert "stop earlier" in html


def test_without_an_alarm_there_is_no_note(parts, experiment):
    record_event(experiment.arms[1].run.events_path, "exit", "the process ended")
    assert look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.alarms"] == ""


@pytest.mark.parametrize("label", ["stopped", "failed", "done"])
def test_resume_is_offered_where_something_is_missing(parts, experiment, label):
    finish(experiment.arms[1].run, label, 12, error="x" if label == "failed" else None)
    finish(experiment.folder, label)
    button = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.resume"]
    assert button.visible == (label != "done")


def test_resuming_says_what_goes_on_or_why_not(parts, experiment, monkeypatch):
    def resume(picked):
        return monitor.act("Resume", lambda: parts.workbench.resume(picked))

    monkeypatch.setattr("app.workbench.start_experiment", lambda found: None)
    assert "must be stopped, failed, lost" in resume("experiments/orange-cat")
    finish(experiment.folder, "stopped")
    finish(experiment.arms[1].run, "stopped", 12)
    assert "Orange cat goes on: 1 of 2 trainings are left." in resume("experiments/orange-cat")
    assert "reload the page" in resume("experiments/gone")


def test_variance_and_diversity_of_finished_samples_are_drawn(parts, experiment):
    outputs, _ = look_at(parts, "monitor", selection="experiments/orange-cat")
    for slot in ("chain_v", "chain_diversity", "drift_heat"):
        assert "<svg" in outputs[f"monitor.{slot}"]
        assert "rollout" in outputs[f"monitor.{slot}"]
