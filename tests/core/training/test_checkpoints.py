"""Checkpoints are whole or not there, the newest are kept, and a disk that cannot take one is told in a sentence."""

import json
import os
import resource
from pathlib import Path

import pytest
import torch
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from tiny_runs import same_bits

from core.errors import RunError
from core.models.stable_diffusion import StableDiffusion
from core.training.adapter import add_adapter, load_adapter_state
from core.training.checkpoints import (
    Checkpoint,
    checkpoint_bytes,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
    tidy_checkpoints,
)


class Parts:
    """An adapted network and its optimizer after one step."""

    def __init__(self, base, rank=2, seed=0):
        self.network = StableDiffusion.load(str(base)).network
        parameters = add_adapter(self.network, targets=["to_q", "to_v"], rank=rank, alpha=2.0, dropout=0.0, seed=seed)
        self.optimizer = torch.optim.AdamW(parameters, lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))
        generator = torch.Generator().manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        self.optimizer.step()
        self.scheduler.step()

    def save(self, folder, step, keep=None):
        return save_checkpoint(folder, step, self.network, self.optimizer, self.scheduler, keep)

    def tensors(self):
        return {name: value.clone() for name, value in get_peft_model_state_dict(self.network).items()}


@pytest.fixture
def parts(one_thread, bases):
    return Parts(bases["v_prediction"])


def test_a_checkpoint_brings_back_every_bit(parts, bases, tmp_path):
    checkpoint = parts.save(tmp_path, 1)
    other = Parts(bases["v_prediction"], seed=5)
    assert not same_bits(parts.tensors(), other.tensors())
    load_checkpoint(checkpoint, other.network, other.optimizer, other.scheduler)
    assert same_bits(parts.tensors(), other.tensors())
    mine, theirs = parts.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"]
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[i][name], theirs[i][name]) for i in mine for name in mine[i])
    assert other.scheduler.get_last_lr() == parts.scheduler.get_last_lr()
    assert other.optimizer.param_groups[0]["lr"] == parts.optimizer.param_groups[0]["lr"]


def test_only_the_newest_are_kept(parts, tmp_path):
    for step in (1, 2, 3, 4):
        parts.save(tmp_path, step, keep=2)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003", "step-000004"]


def test_without_a_limit_all_are_kept(parts, tmp_path):
    for step in (1, 2, 3):
        parts.save(tmp_path, step)
    assert len(list_checkpoints(tmp_path)) == 3


def test_newest_means_the_most_steps_beyond_a_million_too(tmp_path):
    for step in (999_999, 1_000_000, 20):
        folder = tmp_path / f"step-{step:06d}"
        folder.mkdir()
        (folder / "state.json").write_text("{}")
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [20, 999_999, 1_000_000]


def test_a_checkpoint_of_the_same_step_is_replaced(parts, bases, tmp_path):
    Parts(bases["v_prediction"], seed=9).save(tmp_path, 3)
    checkpoint = parts.save(tmp_path, 3)
    other = Parts(bases["v_prediction"], seed=5)
    load_checkpoint(checkpoint, other.network, other.optimizer, other.scheduler)
    assert same_bits(parts.tensors(), other.tensors())
    assert len(list_checkpoints(tmp_path)) == 1


def test_what_an_earlier_crash_left_half_written_does_not_stop_the_next_one(parts, tmp_path):
    half = tmp_path / ".writing-step-000002"
    half.mkdir()
    (half / "adapter.safetensors").write_bytes(b"torn")
    assert list_checkpoints(tmp_path) == []
    parts.save(tmp_path, 2)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2]
    assert not half.exists()


def test_no_folder_means_no_checkpoint(tmp_path):
    assert list_checkpoints(tmp_path / "nothing") == []


def test_foreign_files_are_no_checkpoints(tmp_path):
    (tmp_path / "step-000001").write_text("a file")
    (tmp_path / "step-latest").mkdir()
    (tmp_path / "step-000002").mkdir()
    assert list_checkpoints(tmp_path) == []


def test_a_place_that_cannot_be_written_is_told(parts, tmp_path):
    blocked = tmp_path / "checkpoints"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"must be writable, got an error: .*choose another folder"):
        parts.save(blocked, 1)


def test_a_full_disk_is_told_and_leaves_no_checkpoint(parts, tmp_path):
    parts.save(tmp_path, 1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limit[1]))
    try:
        with pytest.raises(
            RunError, match=r"step-000002 must be writable, got an error: file too large; raise the limit"
        ):
            parts.save(tmp_path, 2, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [1]


@pytest.mark.parametrize("name", ["adapter.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_checkpoint_is_told(parts, tmp_path, name, content):
    checkpoint = parts.save(tmp_path, 1)
    (checkpoint.path / name).write_bytes(content)
    with pytest.raises(RunError, match="step-000001"):
        load_checkpoint(checkpoint, parts.network, parts.optimizer, parts.scheduler)


def test_a_checkpoint_of_another_adapter_is_told(parts, bases, tmp_path):
    checkpoint = parts.save(tmp_path, 1)
    other = StableDiffusion.load(str(bases["v_prediction"])).network
    add_adapter(other, targets=["to_q", "to_k", "to_v"], rank=2, alpha=2.0, dropout=0.0, seed=0)
    with pytest.raises((RunError, ValueError), match="does not fit"):
        load_adapter_state(other, checkpoint.path / "adapter.safetensors")


def test_the_state_is_plain_json(parts, tmp_path):
    state = json.loads((parts.save(tmp_path, 7).path / "state.json").read_text())
    assert state["step"] == 7


def test_adapter_files_hold_the_adapter_alone(parts, tmp_path):
    checkpoint = parts.save(tmp_path, 1)
    assert all("lora_" in name for name in load_file(checkpoint.path / "adapter.safetensors"))


def test_a_missing_checkpoint_file_is_told(parts, tmp_path):
    with pytest.raises(RunError, match="step-000009"):
        load_checkpoint(Checkpoint(tmp_path / "step-000009", 9), parts.network, parts.optimizer, parts.scheduler)


def test_what_a_cut_left_beyond_the_limit_or_half_deleted_goes_when_the_run_is_resumed(parts, tmp_path):
    for step in (1, 2, 3):
        parts.save(tmp_path, step)
    (tmp_path / "step-000001").rename(tmp_path / ".deleting-step-000001")
    (tmp_path / ".deleting-step-000001" / "adapter.safetensors").unlink()
    (tmp_path / ".writing-step-000004").mkdir()
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2, 3]
    tidy_checkpoints(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_never_saved(parts, tmp_path, value):
    parts.save(tmp_path, 1)
    with torch.no_grad():
        next(p for p in parts.network.parameters() if p.requires_grad)[0, 0] = value
    with pytest.raises(RunError, match=r"the adapter must hold numbers, but .* is not finite at step 2; it was not"):
        parts.save(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001"]


def test_every_file_is_on_the_disk_before_the_folder_takes_its_name(parts, tmp_path, monkeypatch):
    """A power cut between the two must not leave empty files under the final name."""
    done, plain_sync, plain_rename = [], os.fsync, Path.rename

    def fsync(fd):
        done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        plain_sync(fd)

    def rename(path, target):
        done.append(f"rename to {Path(target).name}")
        return plain_rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    parts.save(tmp_path, 1)
    place = done.index("rename to step-000001")
    before = " ".join(done[:place])
    for name in ("adapter.safetensors", "optimizer.safetensors", "state.json", ".writing-step-000001"):
        assert name in before
    assert tmp_path.name in done[place:]


def test_a_failed_save_leaves_nothing_that_takes_room(parts, tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limit[1]))
    try:
        with pytest.raises(RunError):
            parts.save(tmp_path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []


def test_what_a_checkpoint_takes_is_known_before_there_is_one(parts, tmp_path):
    checkpoint = parts.save(tmp_path, 1)
    written = sum((checkpoint.path / name).stat().st_size for name in ("adapter.safetensors", "optimizer.safetensors"))
    headers = 2 * 20_000
    assert written - headers < checkpoint_bytes(parts.network, "adamw") < written
