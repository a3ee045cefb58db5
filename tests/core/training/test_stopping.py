"""A stop is honoured in every phase, loses no optimizer step, and every ending is written down."""

from dataclasses import replace

import pytest
import torch
from tiny_runs import ROLLOUT, adapter, alone, metrics, run, same_bits, tiny_config

from core.config.flat import flatten, parse_config
from core.errors import ConfigError, DataError, RunError
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.process import request_stop
from core.runs.status import derive_state, read_status
from core.training.checkpoints import list_checkpoints
from core.training.loop import Loop
from core.training.report import Report
from core.training.run import train

PROMPTS = {
    "validation_prompts": ("a sks cat", "a dog"),
    "num_validation_images": 2,
    "drift_pairs": 2,
    "validation_num_inference_steps": 3,
}
CLASSES = {"with_prior_preservation": True, "class_prompt": "a cat", "num_class_images": 3}


@pytest.fixture
def stop_in(one_thread, config, runs_dir, monkeypatch):
    """``stop_in(phase, at_step, **flat)``: a run that is asked to stop when that phase begins, or goes on."""

    def go(phase: str, at_step: int = 0, *, during: bool = False, **changes) -> RunFolder:
        folder = RunFolder.create(runs_dir, "run", config(**changes))
        plain = {name: getattr(Report, name) for name in ("phase", "progress")}

        def matches(report):
            status = report.status.status
            return status.phase == phase and status.step == at_step

        def begin(report, name, *args, **kwargs):
            if name == phase and report.status.status.step == at_step and not during:
                request_stop(folder)
            plain["phase"](report, name, *args, **kwargs)

        def progress(report, done, total):
            if during and matches(report):
                request_stop(folder)
            plain["progress"](report, done, total)

        with monkeypatch.context() as patch:
            patch.setattr(Report, "phase", begin)
            patch.setattr(Report, "progress", progress)
            run(folder)
        return folder

    return go


@pytest.mark.parametrize(
    ("phase", "during"),
    [
        *((phase, False) for phase in ("loading", "caching", "class_images", "sampling", "training")),
        *((phase, True) for phase in ("caching", "class_images", "sampling")),
    ],
)
def test_a_stop_before_the_first_step_is_honoured_in_every_phase(stop_in, phase, during):
    folder = stop_in(phase, during=during, **PROMPTS, **CLASSES)
    assert read_status(folder).phase == derive_state(folder).label == "stopped"
    assert metrics(folder) == []
    assert list_checkpoints(folder.checkpoints_dir) == []
    run(folder, resume=True)
    assert read_status(folder).phase == "done"
    assert [line["step"] for line in metrics(folder)] == [1, 2, 3]
    assert [line["step"] for line in journal.read_all(folder.drift_path)] == [0, 0, 3]


AROUND = {**PROMPTS, **ROLLOUT, "max_train_steps": 4, "validation_steps": 2}


@pytest.fixture(scope="module")
def undisturbed(bases, pictures, tmp_path_factory):
    """A run that was never stopped."""
    folder = RunFolder.create(tmp_path_factory.mktemp("straight"), "run", tiny_config(bases, pictures, **AROUND))
    with alone():
        run(folder)
    return folder


@pytest.mark.parametrize(
    ("phase", "at_step", "during"),
    [("sampling", 2, False), ("sampling", 2, True), ("sampling", 4, True), ("training", 2, False)],
)
def test_a_stop_around_a_validation_keeps_the_step_and_repeats_the_pictures(
    undisturbed, stop_in, phase, at_step, during
):
    changes, straight = AROUND, undisturbed
    folder = stop_in(phase, at_step, during=during, **changes)
    assert read_status(folder).phase == "stopped"
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)][-1] == at_step
    run(folder, resume=True)
    assert same_bits(adapter(folder), adapter(straight))
    for name in ("step-000000", "step-000002", "step-000004"):
        mine, theirs = sorted((folder.samples_dir / name).iterdir()), sorted((straight.samples_dir / name).iterdir())
        assert [path.name for path in mine] == [path.name for path in theirs]
    probes = [line["step"] for line in journal.read_all(folder.drift_path)]
    assert probes == [0, 0, 2, 4]


def test_a_stop_while_training_saves_that_very_step(stop_in, monkeypatch):
    plain = Loop.take_step

    def step(loop):
        plain(loop)
        if loop.step == 2:
            request_stop(loop.folder)

    monkeypatch.setattr(Loop, "take_step", step)
    folder = stop_in("never", max_train_steps=5)
    assert [line["step"] for line in metrics(folder)] == [1, 2]
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [2]
    assert read_status(folder).step == 2
    assert not folder.adapter_dir.exists()


def test_a_finished_resume_of_a_finished_run_changes_nothing(trained):
    folder = trained(**PROMPTS)
    before, final = metrics(folder), adapter(folder)
    drift = journal.read_all(folder.drift_path)
    run(folder, resume=True)
    assert metrics(folder) == before
    assert journal.read_all(folder.drift_path) == drift
    assert same_bits(adapter(folder), final)
    assert read_status(folder).phase == "done"


def test_a_run_that_has_begun_is_not_begun_again_and_keeps_its_word(trained):
    folder = trained()
    with pytest.raises(RunError, match="resume it instead"):
        run(folder)
    assert read_status(folder).phase == "done"


@pytest.fixture
def broken(monkeypatch):
    """Makes the network's predictions not finite from a step on: ``broken(step)``."""

    def at(step: int, value: float = float("nan")):
        plain = Loop.take_step

        def take_step(loop):
            if loop.step + 1 == step:
                predict = loop.trainer.predict
                loop.trainer = replace(loop.trainer, predict=lambda *args: predict(*args) * value)
            plain(loop)

        monkeypatch.setattr(Loop, "take_step", take_step)

    return at


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_at_its_step(one_thread, config, runs_dir, broken, value):
    broken(3, value)
    folder = RunFolder.create(runs_dir, "run", config(max_train_steps=5, checkpointing_steps=1))
    with pytest.raises(RunError, match=r"loss .* not finite at step 3"):
        run(folder)
    status = read_status(folder)
    assert status.phase == derive_state(folder).label == "failed"
    assert "step 3" in status.error
    assert "learning_rate" in status.hint
    assert [line["step"] for line in metrics(folder)] == [1, 2]
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [1, 2]


def test_a_gradient_that_is_no_number_is_never_saved(one_thread, config, runs_dir, monkeypatch):
    plain = torch.Tensor.backward

    def backward(loss, *args, **kwargs):
        plain(loss * float("inf"), *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    folder = RunFolder.create(runs_dir, "run", config(checkpointing_steps=1))
    with pytest.raises(RunError, match=r"gradient .* not finite at step 1"):
        run(folder)
    assert list_checkpoints(folder.checkpoints_dir) == []


def test_a_failed_run_can_be_resumed(trained, one_thread, config, runs_dir, broken, monkeypatch):
    folder = RunFolder.create(runs_dir, "run", config(checkpointing_steps=1))
    with monkeypatch.context() as patch:
        broken(2)
        with pytest.raises(RunError):
            run(folder)
        patch.undo()
    monkeypatch.undo()
    run(folder, resume=True)
    assert read_status(folder).error is None
    assert same_bits(adapter(folder), adapter(trained("straight")))


@pytest.mark.parametrize(
    ("error", "word", "hint"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero", None),
        (MemoryError(), "MemoryError", "lower resolution"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory", "gradient_checkpointing"),
        (OSError(28, "No space left on device"), "no space left", "disk space"),
    ],
)
def test_whatever_ends_a_run_is_written_down(one_thread, config, runs_dir, monkeypatch, error, word, hint):
    def take_step(loop):
        raise error

    monkeypatch.setattr(Loop, "take_step", take_step)
    folder = RunFolder.create(runs_dir, "run", config())
    with pytest.raises(type(error) if hint is None else RunError):  # what is recognised has a sentence
        run(folder)
    status = read_status(folder)
    assert status.phase == "failed"
    assert word in status.error
    assert (hint is None and status.hint is None) or hint in status.hint
    assert folder.config_path.is_file()


def test_an_interrupt_is_a_stop_and_goes_on_to_the_caller(one_thread, config, runs_dir, monkeypatch):
    def take_step(loop):
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "take_step", take_step)
    folder = RunFolder.create(runs_dir, "run", config())
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert read_status(folder).phase == "stopped"


def test_bad_input_is_written_down_before_the_first_step(one_thread, config, runs_dir, tmp_path):
    (tmp_path / "empty").mkdir()
    folder = RunFolder.create(runs_dir, "run", config(instance_data_dir=str(tmp_path / "empty")))
    with pytest.raises(DataError, match="instance_data_dir must hold at least one picture"):
        run(folder)
    assert "instance_data_dir" in read_status(folder).error


def test_a_frozen_config_that_cannot_be_read_is_written_down(one_thread, config, runs_dir):
    folder = RunFolder.create(runs_dir, "run", config())
    folder.config_path.write_text("{torn")
    with pytest.raises(ConfigError):
        run(folder)
    assert read_status(folder).phase == "failed"


def test_a_second_training_in_the_workspace_is_refused_by_name(one_thread, config, runs_dir, monkeypatch):
    first, second = (RunFolder.create(runs_dir, name, config()) for name in ("first", "second"))
    plain, heard = Loop.take_step, []

    def take_step(loop):
        plain(loop)
        if not heard:
            with pytest.raises(RunError, match="first") as caught:
                train(second)
            heard.append(str(caught.value))

    monkeypatch.setattr("core.runs.lock.LOCK_SECONDS", 0.0)
    monkeypatch.setattr(Loop, "take_step", take_step)
    run(first)
    assert "one training" in heard[0]
    assert (read_status(first).phase, read_status(second).phase) == ("done", "failed")


def test_the_frozen_config_is_what_was_trained(trained, config):
    folder = trained(**ROLLOUT)
    assert flatten(folder.config()) == flatten(parse_config(flatten(config(**ROLLOUT))))
