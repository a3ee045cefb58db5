"""[Apply and retry] changes what the failure asks for, keeps everything else, and starts nothing by itself."""

import pytest

from app import retry
from app.form import read_form
from core.config.flat import difference, parse_config
from core.runs.arms import changed
from core.runs.experiment import create_experiment
from core.runs.folder import RunFolder
from core.runs.remedies import REMEDIES
from core.runs.status import Status, write_status
from tests.support.fabricated import finish, look_at

DIVERGED = "the loss must be a number, but it is not finite at step 3"
FULL = "the training must fit into memory, but this machine is out of memory (bad_alloc)"


def failed(folder: RunFolder, error: str, hint: str | None = None) -> None:
    """The last word of a run that could not go on."""
    write_status(folder, Status(phase="failed", step=3, total=9, error=error, hint=hint))


@pytest.fixture
def run(workspace, demo) -> RunFolder:
    """A run that its loss ended."""
    made = RunFolder.create(workspace.runs_dir, "Cat", demo, preset="demo")
    failed(made, DIVERGED)
    return made


def found(workbench, selection: str) -> retry.Retry | None:
    return retry.retry_of(workbench.entry(selection))


def test_a_loss_that_is_not_finite_is_tried_with_a_tenth_of_the_learning_rate_and_nothing_else(workbench, run, demo):
    tried = found(workbench, "runs/cat")
    assert tried is not None
    assert set(difference(demo, tried.config)) == {"learning_rate"}
    assert tried.config.training.learning_rate == pytest.approx(demo.training.learning_rate / 10)
    assert (tried.design.mode, tried.preset) == ("single", "demo")


def test_text_encoders_with_a_learning_rate_of_their_own_are_calmed_too(workspace, workbench, demo):
    config = changed(demo, {"train_text_encoder": True, "text_encoder_lr": 1e-3})
    failed(RunFolder.create(workspace.runs_dir, "Cat", config), DIVERGED)
    assert found(workbench, "runs/cat").config.training.text_encoder_lr == pytest.approx(1e-4)


def test_half_precision_is_left_when_the_loss_is_not_finite(workspace, workbench, demo):
    config = changed(demo, {"mixed_precision": "bf16"})
    failed(RunFolder.create(workspace.runs_dir, "Cat", config), DIVERGED)
    assert found(workbench, "runs/cat").config.training.mixed_precision == "no"


def test_too_little_memory_is_met_by_one_step_at_a_time_that_keeps_the_items_of_a_step(demo):
    remedy, config, seen = REMEDIES["out_of_memory"], changed(demo, {"train_batch_size": 4, "rank": 2}), []
    while changes := remedy.changes(config):
        before, config = config, changed(config, changes)
        seen.append(set(difference(before, config)))
        training = config.training
        assert training.train_batch_size * training.gradient_accumulation_steps == 4
    batch = {"train_batch_size", "gradient_accumulation_steps"}
    assert seen == [{"gradient_checkpointing"}, batch, batch, {"rank"}]


def test_a_process_that_the_system_ended_for_its_memory_is_tried_with_less(workspace, workbench, demo):
    made = RunFolder.create(workspace.runs_dir, "Cat", demo)
    failed(made, "the process was ended by SIGKILL", "a system that runs out of memory ends processes so: lower rank")
    assert set(found(workbench, "runs/cat").before) == {"gradient_checkpointing"}


@pytest.mark.parametrize("error", ["a.png must be a readable picture", "x must be writable: no space left on device"])
def test_what_no_option_can_mend_offers_no_retry(workspace, workbench, demo, error):
    failed(RunFolder.create(workspace.runs_dir, "Cat", demo), error)
    assert found(workbench, "runs/cat") is None


def test_a_run_that_did_not_fail_offers_no_retry(workspace, workbench, demo):
    finish(RunFolder.create(workspace.runs_dir, "Cat", demo))
    assert found(workbench, "runs/cat") is None
    assert found(workbench, "runs/nobody") is None


def test_an_experiment_is_tried_as_a_whole_with_its_arms_seeds_and_declared_score(workspace, workbench, demo):
    arms = ("teacher-forced", "rollout", "replicate")
    made = create_experiment(workspace, "Pair", demo, arms, seeds=2, primary="diversity")
    finish(made.arms[0].run)
    failed(made.arms[1].run, FULL)
    tried = found(workbench, "experiments/pair")
    assert set(difference(demo, tried.config)) == {"gradient_checkpointing"}
    assert tried.config.scheduled_sampling.max_step_offset == demo.scheduled_sampling.max_step_offset > 0
    assert (tried.design.arms, tried.design.seeds, tried.design.primary) == (("replicate",), 2, "diversity")


def test_the_button_is_seen_beside_such_a_failure_only(parts, workspace, run, demo):
    shown = look_at(parts, "monitor", "", selection="runs/cat")[0]["monitor.retry"]
    assert shown.visible is True
    failed(run, "a.png must be a readable picture")
    assert retry.render(parts, "True", "runs/cat")[1][0].visible is False


def test_the_form_is_filled_and_launch_says_what_was_changed_while_nothing_starts(parts, workspace, run):
    *values, said = retry.apply(parts, "runs/cat", len(parts.options) + 8)
    form = read_form(values[: len(parts.options)])
    rate = run.config().training.learning_rate
    assert form["learning_rate"] == pytest.approx(rate / 10)
    assert set(difference(run.config(), parse_config(form))) == {"learning_rate"}
    assert f"learning_rate {rate} → {rate / 10}" in values[-1]
    assert "Cat retry" in values
    assert said == ""
    assert [folder.name for folder in workspace.runs()] == ["cat"]


def test_a_selection_that_left_is_told_in_words(parts):
    assert "reload the page" in retry.apply(parts, "runs/gone", 3)[-1]
