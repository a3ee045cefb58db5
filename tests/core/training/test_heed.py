"""Pause, save now and sample now are honoured between two steps and change nothing of the training."""

import threading
import time
from collections.abc import Callable

import pytest
from PIL import Image
from safetensors.torch import load_file
from tiny_runs import ROLLOUT, SIDE, adapter, alone, metrics, run, same_bits, tiny_config

from core.runs.folder import RunFolder
from core.runs.process import request_stop
from core.runs.records import Event, read_records
from core.runs.requests import continue_run, is_requested, pause_run, request_sample, request_save
from core.runs.status import derive_state, read_status
from core.samples.from_run import draw
from core.training.checkpoints import list_checkpoints
from core.training.loop import Loop

CHANGES = {
    **ROLLOUT,
    "max_train_steps": 6,
    "lora_dropout": 0.3,
    "caption_dropout": 0.3,
    "validation_prompts": ("a sks cat", "a dog"),
    "num_validation_images": 2,
    "validation_num_inference_steps": 3,
    "validation_steps": 4,
    "drift_pairs": 2,
    "checkpoints_total_limit": None,
}
PATIENCE = 60.0


@pytest.fixture(scope="module")
def undisturbed(bases, pictures, tmp_path_factory) -> RunFolder:
    """The same run, of which nothing was asked."""
    folder = RunFolder.create(tmp_path_factory.mktemp("straight"), "run", tiny_config(bases, pictures, **CHANGES))
    with alone():
        run(folder)
    return folder


@pytest.fixture
def asked(one_thread, config, runs_dir, monkeypatch) -> Callable[..., RunFolder]:
    """``asked({step: work}, **flat)``: a run with which something is done right after those steps."""

    def go(works: dict[int, Callable[[RunFolder], object]], **changes) -> RunFolder:
        folder = RunFolder.create(runs_dir, "run", config(**{**CHANGES, **changes}))
        plain = Loop.take_step

        def step(loop: Loop) -> None:
            plain(loop)
            if loop.step in works:
                works[loop.step](folder)

        with monkeypatch.context() as patch:
            patch.setattr(Loop, "take_step", step)
            run(folder)
        return folder

    return go


def while_paused(folder: RunFolder, works: list[Callable[[RunFolder], object]], seen: list) -> threading.Thread:
    """Somebody who does things one after another to a run that has come to its pause."""

    def wait(until: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not until() and time.monotonic() < deadline:
            time.sleep(0.01)

    def person() -> None:
        wait(lambda: derive_state(folder).label == "paused")
        seen.append(read_status(folder))
        seen.append([checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)])
        for work in works:
            work(folder)
            wait(lambda: not is_requested(folder, "save") and not is_requested(folder, "sample"))
        seen.append(derive_state(folder))

    made = threading.Thread(target=person, daemon=True)
    made.start()
    return made


def optimizer(folder: RunFolder, step: int) -> dict:
    found = {checkpoint.step: checkpoint for checkpoint in list_checkpoints(folder.checkpoints_dir)}
    return load_file(found[step].path / "optimizer.safetensors")


def said(folder: RunFolder, kind: str) -> list[str]:
    return [event.text for event in read_records(Event, folder.events_path) if event.kind == kind]


def drawn(folder: RunFolder, step: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder.samples_dir / f"step-{step:06d}").glob("*.png")}


def test_a_run_that_was_paused_saved_and_sampled_ends_bit_for_bit_as_if_nothing_had_been_asked(asked, undisturbed):
    seen: list = []
    ends: list[float] = []

    def ask_for_all(folder: RunFolder) -> None:
        request_save(folder)
        request_sample(folder)

    def ask_to_pause(folder: RunFolder) -> None:
        ends.append(time.monotonic())
        pause_run(folder)
        while_paused(folder, [ask_for_all, lambda run: time.sleep(1.2), continue_run], seen)

    clock = {4: lambda run: ends.append(time.monotonic())}
    folder = asked({1: request_sample, 2: request_save, 3: ask_to_pause, 5: request_sample, **clock})
    assert read_status(folder).phase == "done"
    assert same_bits(adapter(folder), adapter(undisturbed))
    assert same_bits(optimizer(folder, 6), optimizer(undisturbed, 6))
    timed = ("seconds", "elapsed", "memory_mb")
    mine, theirs = (
        [{name: value for name, value in line.items() if name not in timed} for line in metrics(each)]
        for each in (folder, undisturbed)
    )
    assert mine == theirs
    for step in (0, 4, 6):
        assert drawn(folder, step) == drawn(undisturbed, step)
    assert [len(drawn(folder, step)) for step in (1, 2, 3, 5)] == [4, 0, 4, 4]
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [2, 3, 6]
    paused, saved, after = seen
    assert (paused.phase, paused.step, saved) == ("paused", 3, [2, 3])  # saved first: a death here loses nothing
    assert after.label in ("running", "paused", "done")
    assert said(folder, "pause") == ["paused after step 3; step 3 is saved"]
    assert said(folder, "continue") == ["went on after step 3"]
    assert said(folder, "save") == ["step 2 is saved", "step 3 is saved"]
    assert said(folder, "sample") == [f"the pictures of step {step} are drawn" for step in (1, 3, 5)]
    lines = metrics(folder)
    assert sum(line["seconds"] for line in lines) == pytest.approx(lines[-1]["elapsed"])
    assert after.status.heartbeat > paused.heartbeat  # it beats while it waits
    pause, went_on = (
        next(event.time for event in read_records(Event, folder.events_path) if event.kind == kind)
        for kind in ("pause", "continue")
    )
    assert (went_on - pause) + lines[3]["seconds"] <= ends[1] - ends[0]  # the wait is no part of the step after it


def test_pictures_on_request_are_those_of_a_validation_at_that_step(asked, trained):
    on_request = asked({2: request_sample}, validation_steps=0)
    due = trained("due", **{**CHANGES, "validation_steps": 2})
    assert drawn(on_request, 2).keys() == drawn(due, 2).keys() != set()
    for name in drawn(due, 2):
        mine, theirs = (Image.open(each.samples_dir / "step-000002" / name) for each in (on_request, due))
        assert mine.size == (SIDE, SIDE)
        assert mine.tobytes() == theirs.tobytes()
        assert mine.info["parameters"] == theirs.info["parameters"]


def test_pictures_are_drawn_without_the_dropout_of_the_training(undisturbed, tmp_path):
    paths = draw(undisturbed, ["a sks cat"], [42, 43], tmp_path)
    for path in paths:
        theirs = undisturbed.samples_dir / "step-000006" / path.name
        assert Image.open(path).tobytes() == Image.open(theirs).tobytes()


@pytest.mark.parametrize("step", [3, 6])
def test_a_stop_of_a_paused_run_works_at_once_and_loses_nothing(asked, undisturbed, step):
    def pause_then_stop(folder: RunFolder) -> None:
        pause_run(folder)
        while_paused(folder, [request_stop], [])

    folder = asked({step: pause_then_stop})
    assert read_status(folder).phase == derive_state(folder).label == "stopped"
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [step]
    assert len(metrics(folder)) == step
    run(folder, resume=True)
    assert same_bits(adapter(folder), adapter(undisturbed))
    assert not is_requested(folder, "pause")  # of the earlier life


def test_a_stop_goes_before_everything_else_that_was_asked(asked):
    def all_at_once(folder: RunFolder) -> None:
        for ask in (pause_run, request_save, request_sample, request_stop):
            ask(folder)

    folder = asked({2: all_at_once})
    assert read_status(folder).phase == "stopped"
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [2]
    assert drawn(folder, 2) == {}


def test_what_was_asked_during_the_last_step_is_honoured(asked):
    folder = asked({6: lambda run: (request_save(run), request_sample(run))})
    assert read_status(folder).phase == "done"
    assert said(folder, "save") == ["step 6 is saved"]
    assert said(folder, "sample") == ["the pictures of step 6 are drawn"]


def test_a_request_before_the_first_step_is_honoured_when_it_comes_to_that(one_thread, config, runs_dir, monkeypatch):
    folder = RunFolder.create(runs_dir, "run", config(max_train_steps=2))
    plain = Loop.run

    def early(loop: Loop) -> None:
        request_save(folder)
        request_sample(folder)
        plain(loop)

    monkeypatch.setattr(Loop, "run", early)
    run(folder)
    assert read_status(folder).phase == "done"
    assert said(folder, "save") == ["no step is taken yet, so there is nothing to save"]
    assert said(folder, "sample") == ["there are no validation_prompts to draw"]


def test_a_disk_that_does_not_take_a_requested_checkpoint_or_picture_does_not_end_the_training(asked, undisturbed):
    def block(folder: RunFolder) -> None:
        """A file where a folder has to be."""
        folder.checkpoints_dir.rmdir()
        folder.checkpoints_dir.write_text("in the way")
        (folder.samples_dir / "step-000002").write_text("in the way")
        request_save(folder)
        request_sample(folder)

    def clear(folder: RunFolder) -> None:
        folder.checkpoints_dir.unlink()
        folder.checkpoints_dir.mkdir()

    folder = asked({2: block, 3: clear})
    assert read_status(folder).phase == "done"
    assert same_bits(adapter(folder), adapter(undisturbed))
    (save,), (sample,) = said(folder, "save"), said(folder, "sample")
    assert save.startswith("step 2 could not be saved: ")
    assert sample.startswith("the pictures of step 2 could not be drawn: ")
