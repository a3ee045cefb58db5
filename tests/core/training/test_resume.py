"""A run that is interrupted and resumed ends where an undisturbed one ends, bit for bit."""

import shutil

import pytest
from safetensors.torch import load_file
from tiny_runs import ROLLOUT, adapter, metrics, run, same_bits

from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.process import request_stop
from core.runs.status import read_status
from core.training.checkpoints import list_checkpoints
from core.training.loop import Loop

RAMP = {
    **ROLLOUT,
    "scheduled_sampling_ramp_steps": 5,
    "scheduled_sampling_ramp_shape": "cosine",
    "scheduled_sampling_prob_start": 0.2,
    "scheduled_sampling_prob_end": 1.0,
    "scheduled_sampling_start_step": 1,
}
RAMP_ON_GRID = {name: value for name, value in RAMP.items() if name != "scheduled_sampling_stride"}
TIMED = ("seconds", "elapsed", "memory_mb")


@pytest.fixture
def interrupted(one_thread, config, runs_dir, monkeypatch):
    """``interrupted(name, at, **flat)``: a run that is asked to stop after its step ``at``."""

    def go(name: str, at: int, **changes) -> RunFolder:
        folder = RunFolder.create(runs_dir, name, config(**changes))
        plain = Loop.take_step

        def step(loop):
            plain(loop)
            if loop.step == at:
                request_stop(loop.folder)

        with monkeypatch.context() as patch:
            patch.setattr(Loop, "take_step", step)
            run(folder)
        return folder

    return go


def optimizer(folder):
    """The optimizer's tensors in the newest checkpoint."""
    return load_file(list_checkpoints(folder.checkpoints_dir)[-1].path / "optimizer.safetensors")


def untimed(folder):
    return [{name: value for name, value in line.items() if name not in TIMED} for line in metrics(folder)]


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_accumulation_steps": 2, "lora_dropout": 0.3, "caption_dropout": 0.3, **RAMP},
        {"gradient_accumulation_steps": 2, "scheduled_sampling_mode": "visited", **RAMP},
        {"scheduled_sampling_target": "posterior", "scheduled_sampling_stride": "inference", **RAMP_ON_GRID},
        {"lr_scheduler": "cosine", "lr_warmup_steps": 2, "random_flip": True, "center_crop": False, **RAMP},
        {"lr_scheduler": "polynomial", "mixed_precision": "bf16", "train_batch_size": 3},
    ],
    ids=["accumulation", "visited", "posterior", "cosine", "bf16"],
)
def test_half_and_half_is_the_whole(trained, interrupted, changes):
    straight = trained("straight", max_train_steps=6, **changes)
    halves = interrupted("halves", 3, max_train_steps=6, **changes)
    assert read_status(halves).phase == "stopped"
    assert len(metrics(halves)) == 3
    run(halves, resume=True)
    assert read_status(halves).phase == "done"
    assert same_bits(adapter(straight), adapter(halves))
    assert same_bits(optimizer(straight), optimizer(halves))
    assert untimed(straight) == untimed(halves)


def test_the_first_half_is_not_the_whole(trained, interrupted):
    halves = interrupted("halves", 3, max_train_steps=6)
    straight = trained("straight", max_train_steps=6)
    assert not same_bits(optimizer(straight), optimizer(halves))


def test_a_resume_from_an_older_checkpoint_leaves_no_step_twice(trained):
    folder = trained(
        max_train_steps=6, checkpointing_steps=2, validation_steps=1, drift_pairs=2, checkpoints_total_limit=None
    )
    whole, drift = untimed(folder), [line["step"] for line in journal.read_all(folder.drift_path)]
    final = adapter(folder)
    for checkpoint in list_checkpoints(folder.checkpoints_dir)[1:]:
        shutil.rmtree(checkpoint.path)
    shutil.rmtree(folder.adapter_dir)
    run(folder, resume=True)
    assert untimed(folder) == whole
    assert [line["step"] for line in journal.read_all(folder.drift_path)] == drift
    assert same_bits(adapter(folder), final)


def test_a_resume_without_any_checkpoint_begins_anew(trained):
    folder = trained(max_train_steps=3, drift_pairs=2)
    whole, drift = untimed(folder), [line["step"] for line in journal.read_all(folder.drift_path)]
    shutil.rmtree(folder.checkpoints_dir)
    run(folder, resume=True)
    assert untimed(folder) == whole
    assert [line["step"] for line in journal.read_all(folder.drift_path)] == drift


def test_elapsed_time_goes_on_after_a_resume(interrupted):
    folder = interrupted("halves", 2, max_train_steps=4)
    before = metrics(folder)[-1]["elapsed"]
    run(folder, resume=True)
    elapsed = [line["elapsed"] for line in metrics(folder)]
    assert elapsed == sorted(elapsed)
    assert elapsed[2] > before > 0


def test_a_half_written_checkpoint_is_ignored(interrupted, trained):
    folder = interrupted("halves", 2, max_train_steps=4)
    (good,) = list_checkpoints(folder.checkpoints_dir)
    half = folder.checkpoints_dir / ".writing-step-000003"
    shutil.copytree(good.path, half)
    (half / "adapter.safetensors").write_bytes(b"torn")
    (folder.checkpoints_dir / "step-000004").mkdir()
    run(folder, resume=True)
    assert same_bits(adapter(folder), adapter(trained("straight", max_train_steps=4)))
