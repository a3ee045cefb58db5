"""Monitor over fabricated trainings, without a browser."""

import re

from core.runs.folder import RunFolder
from tests.support.fabricated import finish, look_at, write_sample, write_steps


def test_monitor_shows_both_arms_their_plots_samples_and_logs(parts, experiment):
    outputs, _ = look_at(parts, "monitor", selection="experiments/orange-cat")
    for slot in ("monitor.status", "monitor.log", "monitor.drift_m1", "monitor.chain_v", "monitor.loss"):
        assert "teacher-forced" in outputs[slot], slot
        assert "rollout" in outputs[slot], slot
    assert "hello from rollout" in outputs["monitor.log"]
    assert outputs["monitor.samples"].count("<img") == 8


def test_monitor_follows_new_steps_and_samples_only_where_they_show(parts, workbench, demo):
    run = RunFolder.create(workbench.workspace.runs_dir, "Grows", demo)
    write_steps(run, 3)
    finish(run, step=3)
    _, seen = look_at(parts, "monitor", selection="runs/grows")
    write_sample(run, 3)
    outputs, seen = look_at(parts, "monitor", seen, selection="runs/grows")
    assert set(outputs) == {"monitor.samples"}
    write_steps(run, 1, first=4)
    outputs, _ = look_at(parts, "monitor", seen, selection="runs/grows")
    assert "monitor.loss" in outputs
    assert "monitor.drift_m1" not in outputs


def test_a_failed_run_shows_its_cause_and_what_to_do(parts, experiment):
    finish(experiment.arms[1].run, "failed", 12, error="the loss is <not> finite", hint="lower learning_rate")
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.status"]
    assert "the loss is &lt;not&gt; finite" in html
    assert "lower learning_rate" in html
    assert 'role="alert"' in html


def test_every_sample_has_an_alternative_text_with_prompt_arm_step_and_seed(parts, experiment, demo):
    html = look_at(parts, "monitor", selection="experiments/orange-cat")[0]["monitor.samples"]
    texts = re.findall(r'<img [^>]*alt="([^"]+)"', html)
    assert f"{demo.validation.validation_prompts[0]}; rollout, step 30, seed 42" in texts
    assert len(texts) == len(set(texts)) == 8
